//! Bodies of requests: what is asked for, member by member, with errors that name the member (`docs/http.md`, “Request bodies”).

use crate::base::config::{Config, Connector, Named};
use crate::base::limits::{
    METADATA_MEMBERS_MAX, METADATA_NAME_CHARS_MAX, METADATA_VALUE_CHARS_MAX, ORDER_ID_CHARS_MAX,
    PAYMENT_METHOD_CHARS_MAX, RESOLVE_TEXT_CHARS_MAX, RETURN_URL_CHARS_MAX,
};
use crate::base::money::Money;
use crate::base::version::RecordVersion;
use crate::contract::error::{ApiError, Code};
use crate::contract::json::{Body, invalid, missing};
use crate::journal::entry::{CaptureMethod, Operation, Proposal, RequestKind, Terms};
use crate::journal::wire_form::WireForm;
use crate::psp::amount::{Units, is_currency};

/// The operation asked for, with its members.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Create(Box<Payment>),
    Charge(Box<Payment>),
    Authorize {
        payment_method: Option<String>,
        default_payment_method: Option<String>,
        return_url: Option<String>,
    },
    Capture {
        amount_minor: Option<u64>,
    },
    Void,
    /// An operator's resolution of what is parked.
    Resolve(Box<Proposal>),
}

/// What an attempt begins with.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) terms: Terms,
    pub(crate) psp: String,
    pub(crate) return_url: Option<String>,
}

impl Command {
    pub(crate) fn kind(&self) -> RequestKind {
        match self {
            Self::Create(_) => RequestKind::Create,
            Self::Charge(_) => RequestKind::Charge,
            Self::Authorize { .. } => RequestKind::Authorize,
            Self::Capture { .. } => RequestKind::Capture,
            Self::Void => RequestKind::Void,
            Self::Resolve(_) => RequestKind::Resolve,
        }
    }
}

/// Reads the body of a request of this kind.
pub(crate) fn command(
    config: &Config,
    named: Named<'_>,
    kind: RequestKind,
    mut body: Body,
) -> Result<Command, ApiError> {
    let (settings, operator) = match named {
        Named::Merchant(name) => (config.merchants.get(name), ""),
        Named::Operator(name) => (None, name),
    };
    let default_payment_method = settings.and_then(|m| m.default_payment_method.clone());
    let psp = settings.map(|m| m.psp.clone()).unwrap_or_default();
    let connector = config.psps.get(&psp).map(|psp| psp.connector);
    let command = match kind {
        RequestKind::Create => Command::Create(Box::new(Payment {
            terms: terms(&mut body, kind, connector)?,
            psp,
            return_url: return_url(&mut body)?,
        })),
        RequestKind::Charge => {
            let mut terms = terms(&mut body, kind, connector)?;
            terms.payment_method = terms.payment_method.or(default_payment_method);
            if terms.payment_method.is_none() {
                return Err(missing("payment_method"));
            }
            Command::Charge(Box::new(Payment {
                terms,
                psp,
                return_url: return_url(&mut body)?,
            }))
        }
        RequestKind::Authorize => Command::Authorize {
            payment_method: payment_method(&mut body)?,
            default_payment_method,
            return_url: return_url(&mut body)?,
        },
        RequestKind::Capture => Command::Capture {
            amount_minor: body.amount("amount")?,
        },
        RequestKind::Void => Command::Void,
        RequestKind::Resolve => resolve(&mut body, operator)?,
    };
    body.finish()?;
    Ok(command)
}

/// `connector` is the driver of the merchant's PSP: what it cannot express is refused here, before anything is sent or stored.
fn terms(body: &mut Body, kind: RequestKind, connector: Option<Connector>) -> Result<Terms, ApiError> {
    let order_id = match kind {
        RequestKind::Charge => body.string("order_id", ORDER_ID_CHARS_MAX)?,
        _ => Some(body.required_string("order_id", ORDER_ID_CHARS_MAX)?),
    };
    let amount_minor = body.amount("amount")?.ok_or_else(|| missing("amount"))?;
    let currency = body.required_string("currency", 16)?;
    if !is_currency(&currency) {
        let message = format!(
            "\"{currency}\" is not a currency that can be paid in: an ISO 4217 code in upper case, like GBP, and no metal, fund, unit of account or test code."
        );
        return Err(ApiError::new(Code::InvalidCurrency, message).field("currency"));
    }
    let money = Money::new(amount_minor, currency);
    if let Some(connector) = connector {
        expressible(Units::new(connector, WireForm::CURRENT), &money)?;
    }
    let capture_method = match (body.string("capture_method", 16)?.as_deref(), kind) {
        (None | Some("automatic"), RequestKind::Charge) | (Some("automatic"), _) => CaptureMethod::Automatic,
        (None | Some("manual"), RequestKind::Create) => CaptureMethod::Manual,
        (_, RequestKind::Charge) => {
            return Err(invalid("capture_method", "A charge captures at once: \"capture_method\" can only be \"automatic\". For manual capture use POST /attempts.".to_owned()));
        }
        _ => {
            return Err(invalid(
                "capture_method",
                "\"capture_method\" must be \"manual\" or \"automatic\".".to_owned(),
            ));
        }
    };
    Ok(Terms {
        order_id,
        money,
        capture_method,
        payment_method: payment_method(body)?,
        metadata: body.string_map(
            "metadata",
            METADATA_MEMBERS_MAX,
            METADATA_NAME_CHARS_MAX,
            METADATA_VALUE_CHARS_MAX,
        )?,
    })
}

/// Refuses an amount that the PSP does not have.
pub(crate) fn expressible(units: Units, money: &Money) -> Result<(), ApiError> {
    units.to_wire(money).map(|_| ()).map_err(|inexpressible| {
        let message = format!(
            "\"amount\" {} of {} cannot be sent to the PSP: {}.",
            money.amount_minor, money.currency, inexpressible.why
        );
        ApiError::new(Code::InvalidAmount, message).field("amount")
    })
}

fn payment_method(body: &mut Body) -> Result<Option<String>, ApiError> {
    let token = body.string("payment_method", PAYMENT_METHOD_CHARS_MAX)?;
    if token.as_deref().is_some_and(looks_like_card_number) {
        return Err(ApiError::new(
            Code::CardNumberRefused,
            "\"payment_method\" looks like a card number. Send the PSP's token for it; card numbers must never come here. It was not stored.",
        )
        .field("payment_method"));
    }
    Ok(token)
}

/// Where the PSP sends the customer when a 3-D Secure is over. The customer's browser goes there, and a PSP that does not
/// like it refuses the payment for good: so it has to be a web address that has one reading (RFC 3986: its characters, a
/// host, perhaps a port, no name or password).
fn return_url(body: &mut Body) -> Result<Option<String>, ApiError> {
    let Some(url) = body.string("return_url", RETURN_URL_CHARS_MAX)? else {
        return Ok(None);
    };
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let is_address = rest.is_some_and(|rest| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        is_authority(authority) && path.bytes().all(is_of_an_address)
    });
    if is_address {
        return Ok(Some(url));
    }
    let message = "\"return_url\" must be a web address like https://shop.example/back?order=1: http or https, a host and perhaps a port, and no characters but those of RFC 3986 (others percent-encoded, or in punycode).";
    Err(invalid("return_url", message.to_owned()))
}

/// A name or an address in brackets, and perhaps a port (RFC 3986 §3.2, without user information).
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_made_of = |text: &str, is_right: fn(u8) -> bool| !text.is_empty() && text.bytes().all(is_right);
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(address) => is_made_of(address, |b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
        None => is_made_of(host, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
        }),
    };
    let is_port = |port: &str| {
        port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    is_host && port.is_none_or(is_port)
}

/// Whether a URI may have it (RFC 3986 §2).
fn is_of_an_address(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// 12 to 19 digits, spaces and dashes aside, that pass the Luhn check (ISO/IEC 7812-1).
fn looks_like_card_number(text: &str) -> bool {
    let mut digits = Vec::new();
    for c in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
        match c.to_digit(10) {
            Some(digit) => digits.push(digit),
            None => return false,
        }
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        // Every other digit counts double, by the digits of its double: whose tens may stay, as all is taken modulo ten.
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) => double / 10 + double,
        })
        .sum();
    (12..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}

/// `operator` is the name of the credential. The body may have a member `operator`, which older clients send; it is ignored.
fn resolve(body: &mut Body, operator: &str) -> Result<Command, ApiError> {
    body.string("operator", RESOLVE_TEXT_CHARS_MAX)?;
    let reason = body.required_string("reason", RESOLVE_TEXT_CHARS_MAX)?;
    let name = body.required_string("operation", 32)?;
    let Some(operation) = Operation::ALL.into_iter().find(|one| one.as_str() == name) else {
        return Err(invalid(
            "operation",
            "\"operation\" must be the parked operation's name: authorize, capture, void or refund."
                .to_owned(),
        ));
    };
    let version = RecordVersion::new(body.required_count("generation")?);
    let happened = match body.required_string("outcome", 32)?.as_str() {
        "happened" => true,
        "did_not_happen" => false,
        _ => {
            return Err(invalid(
                "outcome",
                "\"outcome\" must be \"happened\" or \"did_not_happen\", as the PSP's own books show."
                    .to_owned(),
            ));
        }
    };
    let psp_reference = body.string("psp_reference", PAYMENT_METHOD_CHARS_MAX)?;
    if !happened && psp_reference.is_some() {
        let message =
            "\"psp_reference\" names what happened; leave it out when \"outcome\" is \"did_not_happen\".";
        return Err(invalid("psp_reference", message.to_owned()));
    }
    Ok(Command::Resolve(Box::new(Proposal {
        operator: operator.to_owned(),
        reason,
        operation,
        version,
        happened,
        psp_reference,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_known_and_tokens_are_not() {
        assert!(looks_like_card_number("4242 4242 4242 4242"));
        assert!(looks_like_card_number("378282246310005"));
        assert!(
            !looks_like_card_number("4242424242424241"),
            "fails the check digit"
        );
        assert!(!looks_like_card_number("pm_card_visa"));
        assert!(!looks_like_card_number(""));
    }
}
