//! From a request to a call with checked parameters.

use crate::base::dials::Dials;
use crate::base::outcome::Outcome;
use crate::wire::request::{Method, Request, is_web_address};

use super::call::{Action, Call, Create, Page};
use super::errors::{invalid, no_such_route, unauthorized};
use super::params::Params;
use super::{amounts, method_types, versions};

/// # Errors
/// The answer to give when the request is not a call: 400, 401, 404 or 405.
pub(crate) fn parse(request: &Request, dials: &Dials) -> Result<Call, Outcome> {
    let key = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    if key.is_none_or(|key| key.trim().is_empty()) {
        return Err(unauthorized());
    }
    let version = versions::of(request, dials)?;
    let path = request.path();
    let unknown = |status| no_such_route(status, request.method.name(), path);
    let rest = path.strip_prefix("/v1/").unwrap_or_default();
    let mut steps = rest.split('/');
    let (collection, id, verb) = (steps.next(), steps.next(), steps.next());
    if steps.next().is_some() {
        return Err(unknown(404));
    }
    let mut params = Params::new(match request.method {
        Method::Get => request.query().as_bytes(),
        _ => &request.body,
    });
    if let (Method::Post, Some("payment_intents"), None | Some("confirm")) =
        (request.method, collection, verb)
    {
        method_types::check(&params, version)?;
    }
    let expand_charge = expand(&mut params)?;
    let action = match (request.method, collection, id, verb) {
        (Method::Post, Some("payment_intents"), None, None) => Action::Create(create(&mut params, dials)?),
        (Method::Get, Some("payment_intents"), None, None) => Action::List(page(&mut params, dials)?),
        (Method::Get, Some("payment_intents"), Some(id), None) => {
            // Publishable-key callers send it; here it proves nothing.
            params.text("client_secret")?;
            Action::Retrieve { id: id.to_owned() }
        }
        (Method::Post, Some("payment_intents"), Some(id), Some(verb)) => {
            act(id.to_owned(), verb, &mut params)?.ok_or_else(|| unknown(404))?
        }
        (Method::Post, Some("refunds"), None, None) => Action::Refund {
            intent: params.required("payment_intent")?,
            amount_minor: params.amount_minor("amount")?,
            reason: params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?,
            metadata: params.map("metadata"),
        },
        (Method::Get, Some("refunds"), Some(id), None) => Action::RetrieveRefund { id: id.to_owned() },
        (Method::Get, Some("refunds"), None, None) => Action::Refunds {
            intent: params.required("payment_intent")?,
            limit: limit(&mut params, dials)?,
        },
        (Method::Get, Some("disputes"), Some(id), None) => Action::RetrieveDispute { id: id.to_owned() },
        (_, Some("payment_intents" | "refunds"), None, None) => return Err(unknown(405)),
        _ => return Err(unknown(404)),
    };
    params.finish()?;
    Ok(Call {
        action,
        expand_charge,
    })
}

fn expand(params: &mut Params) -> Result<bool, Outcome> {
    let mut expand_charge = false;
    for path in params.list("expand") {
        match path.as_str() {
            "latest_charge" | "data.latest_charge" => expand_charge = true,
            _ => {
                let message = format!("This property cannot be expanded ({path}).");
                return Err(invalid("parameter_invalid_string", "expand", &message));
            }
        }
    }
    Ok(expand_charge)
}

fn act(id: String, verb: &str, params: &mut Params) -> Result<Option<Action>, Outcome> {
    const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    Ok(Some(match verb {
        "confirm" => Action::Confirm {
            id,
            payment_method: params.text("payment_method")?,
            types: method_types::taken(params)?,
            return_url: return_url(params)?,
        },
        "capture" => Action::Capture {
            id,
            amount_minor: params.amount_minor("amount_to_capture")?,
        },
        "cancel" => Action::Cancel {
            id,
            reason: params.choice("cancellation_reason", REASONS)?,
        },
        "_authenticate" => {
            let success = params.flag("success")?;
            let missing = || invalid("parameter_missing", "success", "Missing required param: success.");
            Action::Authenticate {
                id,
                success: success.ok_or_else(missing)?,
            }
        }
        _ => return Ok(None),
    }))
}

fn create(params: &mut Params, dials: &Dials) -> Result<Create, Outcome> {
    let amount = params.amount_minor("amount")?;
    let amount_minor =
        amount.ok_or_else(|| invalid("parameter_missing", "amount", "Missing required param: amount."))?;
    let currency = params.required("currency")?.to_lowercase();
    if !amounts::is_currency(&currency) {
        return Err(invalid(
            "parameter_invalid_string",
            "currency",
            &format!("Invalid currency: {currency}"),
        ));
    }
    amounts::check(amount_minor, &currency, "amount")?;
    amounts::check_least(amount_minor, dials.min_amount_minor, "amount")?;
    let confirm = params.flag("confirm")?.unwrap_or(false);
    let return_url = return_url(params)?;
    if return_url.is_some() && !confirm {
        let message = "This parameter can only be used with `confirm=true`.";
        return Err(invalid("parameter_unknown", "return_url", message));
    }
    Ok(Create {
        amount_minor,
        currency,
        payment_method: params.text("payment_method")?,
        types: method_types::taken(params)?,
        automatic_capture: params
            .choice("capture_method", &["manual", "automatic"])?
            .as_deref()
            != Some("manual"),
        confirm,
        metadata: params.map("metadata"),
        return_url,
        description: params.text("description")?,
    })
}

/// The page of 3-D Secure sends the browser there, so it must be a web address.
fn return_url(params: &mut Params) -> Result<Option<String>, Outcome> {
    match params.text("return_url")? {
        Some(url) if !is_web_address(&url) => Err(invalid("url_invalid", "return_url", "Not a valid URL.")),
        url => Ok(url),
    }
}

fn page(params: &mut Params, dials: &Dials) -> Result<Page, Outcome> {
    Ok(Page {
        limit: limit(params, dials)?,
        starting_after: params.text("starting_after")?,
        ending_before: params.text("ending_before")?,
        created_gte: params.integer("created[gte]")?,
        created_lte: params.integer("created[lte]")?,
    })
}

/// The rows of a page: what was asked for, or fewer where the dial `list_page_max` says so.
fn limit(params: &mut Params, dials: &Dials) -> Result<usize, Outcome> {
    let limit = match params.integer("limit")? {
        None => 10,
        Some(limit @ 1..=100) => usize::try_from(limit).unwrap_or(100),
        Some(_) => {
            return Err(invalid(
                "parameter_invalid_integer",
                "limit",
                "This value must be between 1 and 100.",
            ));
        }
    };
    Ok(limit.min(dials.list_page_max))
}

#[cfg(test)]
mod tests;
