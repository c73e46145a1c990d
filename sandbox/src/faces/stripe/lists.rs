//! Lists, newest first.

use serde::Serialize;
use serde_json::Value;

use crate::base::outcome::Outcome;
use crate::ledger::state::State;
use crate::ledger::work::Work;

use super::call::Page;
use super::errors::missing;
use super::refunds;

/// A page of the PaymentIntents that are at least `list_lag_ms` old.
pub(crate) fn intents(work: &mut Work<'_>, page: &Page, expand_charge: bool) -> Outcome {
    // Drawn only where it is turned up: what is drawn after it would be another draw in every run without it.
    let stuck_permille = work.settings.dials.list_stuck_permille;
    if page.starting_after.is_some() && stuck_permille > 0 && work.draw.chance(stuck_permille) {
        let first = Page {
            starting_after: None,
            ..page.clone()
        };
        return page_of(work, &first, expand_charge, true);
    }
    page_of(work, page, expand_charge, false)
}

/// `goes_on`: the page says that there are more, whatever is behind it.
fn page_of(work: &Work<'_>, page: &Page, expand_charge: bool, goes_on: bool) -> Outcome {
    let (state, settings) = (&*work.state, work.settings);
    let is_old_enough =
        |created_ms: u64| work.now_ms.saturating_sub(created_ms) >= settings.dials.list_lag_ms;
    let place = |param: &str, id: &Option<String>| match id {
        None => Ok(None),
        Some(id) => match state.intents.get(id) {
            Some(intent) => Ok(Some((intent.created_ms / 1000, intent.serial, id.clone()))),
            None => Err(missing(param, "payment_intent", id)),
        },
    };
    let (older_than, newer_than) = match (
        place("starting_after", &page.starting_after),
        place("ending_before", &page.ending_before),
    ) {
        (Ok(older_than), Ok(newer_than)) => (older_than, newer_than),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let from = (page.created_gte.unwrap_or(0), 0, String::new());
    let until = (
        page.created_lte.map_or(u64::MAX, |at_s| at_s.saturating_add(1)),
        0,
        String::new(),
    );
    let from = newer_than.clone().map_or(from.clone(), |place| from.max(place));
    let until = older_than.map_or(until.clone(), |place| until.min(place));
    if from >= until {
        return list_of::<Value>("/v1/payment_intents", Vec::new(), false);
    }
    let range = state
        .intents_by_age
        .range(from..until)
        .filter(|place| Some(*place) != newer_than.as_ref())
        .filter(|(_, _, id)| {
            let made = state.intents.get(id);
            made.is_some_and(|intent| is_old_enough(intent.created_ms))
        });
    // One more than asked for tells whether there are more.
    let wanted = page.limit.saturating_add(1);
    let mut ids: Vec<&String> = if newer_than.is_some() {
        // The page that ends at `ending_before` holds the rows next to it, which are the oldest of the range.
        range.map(|(_, _, id)| id).take(wanted).collect()
    } else {
        range.rev().map(|(_, _, id)| id).take(wanted).collect()
    };
    let has_more = ids.len() > page.limit || goes_on;
    ids.truncate(page.limit);
    if newer_than.is_some() {
        ids.reverse();
    }
    let data = ids
        .into_iter()
        .filter_map(|id| state.intents.get(id))
        .map(|intent| intent.render(&settings.public_url, expand_charge))
        .collect();
    list_of("/v1/payment_intents", data, has_more)
}

/// The refunds of one PaymentIntent.
pub(crate) fn refunds(state: &State, id: &str, limit: usize) -> Outcome {
    let Some(intent) = state.intents.get(id) else {
        return missing("payment_intent", "payment_intent", id);
    };
    let data = intent
        .refunds
        .iter()
        .rev()
        .take(limit)
        .map(|refund| refunds::render(intent, refund))
        .collect();
    list_of("/v1/refunds", data, intent.refunds.len() > limit)
}

/// A list object as Stripe writes it.
fn list_of<T: Serialize>(url: &str, data: Vec<T>, has_more: bool) -> Outcome {
    let body = List {
        object: "list",
        url,
        has_more,
        data,
    };
    Outcome::refused(200, &body)
}

#[derive(Serialize)]
struct List<'a, T> {
    object: &'static str,
    url: &'a str,
    has_more: bool,
    data: Vec<T>,
}

#[cfg(test)]
mod tests;
