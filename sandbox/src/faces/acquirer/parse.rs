//! From a request to a call with checked members.

use serde_json::{Map, Value, json};

use crate::base::dials::Dials;
use crate::base::outcome::Outcome;
use crate::wire::request::{Method, Request, is_web_address};

use super::call::{Act, Call};
use super::errors::refused;

/// # Errors
/// The answer to give when the request is not a call: 400, 404 or 405.
pub(crate) fn parse(request: &Request, dials: &Dials) -> Result<Call, Outcome> {
    let path = request.path();
    if path == "/lookup" {
        return lookup(request, dials);
    }
    if request.method != Method::Post {
        return Err(refused(405, "method_not_allowed", "Use POST."));
    }
    let members = match serde_json::from_slice(&request.body) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Err(refused(400, "malformed_json", "The body must be a JSON object.")),
        Err(error) => {
            return Err(refused(
                400,
                "malformed_json",
                &format!("The body is not JSON: {error}"),
            ));
        }
    };
    let reference = text(&members, "reference")?;
    let amount_minor = members
        .get("amount")
        .and_then(Value::as_u64)
        .filter(|amount| (1..1 << 53).contains(amount))
        .ok_or_else(|| {
            refused(
                400,
                "invalid_member",
                "\"amount\" must be a whole number of minor units, 1 to 2^53-1.",
            )
        })?;
    let least_minor = dials.min_amount_minor;
    if amount_minor < least_minor && path != "/void" {
        let error = json!({
            "code": "amount_too_small",
            "message": format!("\"amount\" must be at least {least_minor}."),
            "field": "amount",
        });
        return Err(Outcome::refused(400, &json!({"error": error})));
    }
    let currency = text(&members, "currency")?;
    let act = || -> Result<Act, Outcome> {
        let psp_reference = text(&members, "psp_reference")?;
        Ok(Act {
            reference: reference.clone(),
            amount_minor,
            currency: currency.clone(),
            psp_reference,
        })
    };
    match path {
        "/capture" => act().map(Call::Capture),
        "/void" => act().map(Call::Void),
        _ => {
            let payment_method = text(&members, "payment_method")?;
            let return_url = match members.contains_key("return_url") {
                true => Some(text(&members, "return_url")?),
                false => None,
            };
            if return_url.as_deref().is_some_and(|url| !is_web_address(url)) {
                return Err(refused(
                    400,
                    "invalid_member",
                    "\"return_url\" must be a web address.",
                ));
            }
            Ok(Call::Authorize {
                reference,
                amount_minor,
                currency,
                payment_method,
                return_url,
            })
        }
    }
}

fn lookup(request: &Request, dials: &Dials) -> Result<Call, Outcome> {
    if request.method != Method::Get {
        return Err(refused(405, "method_not_allowed", "Use GET."));
    }
    if !dials.lookup_enabled {
        return Err(refused(
            404,
            "not_found",
            "This acquirer has no lookup (dial lookup_enabled).",
        ));
    }
    form_urlencoded::parse(request.query().as_bytes())
        .find(|(name, value)| name == "reference" && !value.is_empty())
        .map(|(_, reference)| Call::Lookup {
            reference: reference.into_owned(),
        })
        .ok_or_else(|| refused(400, "missing_member", "Say which: /lookup?reference=…"))
}

fn text(members: &Map<String, Value>, name: &str) -> Result<String, Outcome> {
    match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        None => Err(refused(400, "missing_member", &format!("\"{name}\" is missing."))),
        Some(_) => Err(refused(
            400,
            "invalid_member",
            &format!("\"{name}\" must be a non-empty string."),
        )),
    }
}
