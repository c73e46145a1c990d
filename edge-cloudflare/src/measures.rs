//! What happens is counted in Workers Analytics Engine (`docs/metrics.md`, “At the edge”). A deployment without the binding counts
//! nothing, and a data point that is lost changes nothing else.

use pay_once_core::{AttemptId, Call, CallResult, Measure};
use serde_json::json;
use worker::{AnalyticsEngineDataPointBuilder, AnalyticsEngineDataset, Env};

use crate::{psp_client, system};

/// Name of the binding.
const BINDING: &str = "MEASURES";

/// Writes one data point for each measure: `index1` is the measure, `blob1` its label, `blob2` the attempt, `double1` the count, and
/// `double2` the duration in milliseconds.
pub(crate) fn count(env: &Env, id: Option<AttemptId>, measures: impl FnOnce() -> Vec<Measure>) {
    let Ok(dataset) = env.analytics_engine(BINDING) else {
        return;
    };
    let attempt = id.map(|id| id.to_string()).unwrap_or_default();
    for measure in measures() {
        if let Err(error) = write(&dataset, &measure, &attempt) {
            let message = "a data point could not be written";
            system::error(&json!({"level": "WARN", "message": message, "error": error.to_string()}));
        }
    }
}

/// Sends a call, and counts it.
pub(crate) async fn counted_send(env: &Env, call: &Call) -> CallResult {
    let begun_ms = system::now_ms();
    let result = psp_client::send(call).await;
    let took_ms = system::now_ms() - begun_ms;
    count(env, call.attempt, || Measure::of_call(call, &result, took_ms));
    result
}

#[allow(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53: counts of one step, and 285,000 years"
)]
fn write(dataset: &AnalyticsEngineDataset, measure: &Measure, attempt: &str) -> worker::Result<()> {
    let (count, duration_ms) = (measure.count as f64, measure.duration_ms.get() as f64);
    let point = AnalyticsEngineDataPointBuilder::new()
        .indexes([measure.measure])
        .add_blob(measure.label.as_str())
        .add_blob(attempt)
        .add_double(count)
        .add_double(duration_ms)
        .build();
    dataset.write_data_point(&point)
}
