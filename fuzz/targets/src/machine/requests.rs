//! The requests that clients send about the one attempt.

use crate::setup::name;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) key: &'static str,
    pub(super) body: String,
}

/// How many there are.
pub(super) const REQUESTS: usize = 16;
/// The operator's.
pub(super) const RESOLVE: usize = 13;

/// All of them. `create` is the body of the create request.
pub(super) fn requests(create: &str) -> [Asked; REQUESTS] {
    let op = |operation: &str| format!("/attempts/{}/{operation}", name());
    let post = |target: String, key: &'static str, body: &str| Asked {
        method: "POST",
        target,
        key,
        body: body.to_owned(),
    };
    [
        post(op("authorize"), "a-0", ""),
        post(op("authorize"), "a-1", ""),
        post(op("capture"), "c-0", ""),
        post(op("capture"), "c-1", "{}"),
        post(op("capture"), "p-0", r#"{"amount":1000}"#),
        post(op("void"), "v-0", ""),
        post(op("void"), "v-1", ""),
        post("/attempts".to_owned(), "k1", create),
        post("/attempts".to_owned(), "k1", &create.replace("2599", "2600")),
        Asked {
            method: "GET",
            ..post(format!("/attempts/{}", name()), "", "")
        },
        post(op("authorize"), "c-0", ""),
        post(op("capture"), "c-0", r#"{"amount":1}"#),
        post(
            "/charge".to_owned(),
            "k1",
            &create.replace(r#","capture_method":"automatic""#, ""),
        ),
        post(op("resolve"), "r-0", ""),
        post(op("capture"), "m-0", r#"{"amount":9999}"#),
        post(op("authorize"), "a-2", r#"{"payment_method":"pm_card_visa"}"#),
    ]
}
