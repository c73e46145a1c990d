//! The 3-D Secure page: small, self-contained, no script.

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem;\
    color:#1a1a1a;background:#fafafa}button{font:inherit;padding:.6rem 1.2rem;margin-right:.5rem;\
    border:1px solid #888;border-radius:.4rem;background:#fff;cursor:pointer}button.yes{background:#1a1a1a;\
    color:#fff}small{color:#666}";

/// Headers of every page.
pub(crate) fn headers() -> Vec<(&'static str, String)> {
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    vec![
        ("Content-Type", "text/html; charset=utf-8".to_owned()),
        ("Content-Security-Policy", policy.to_owned()),
        ("Cache-Control", "no-store".to_owned()),
    ]
}

/// The question with its two buttons.
pub(crate) fn question(id: &str, amount_minor: u64, currency: &str) -> String {
    let (id, currency) = (escaped(id), escaped(&currency.to_uppercase()));
    page(&format!(
        "<h1>Is this you?</h1><p>A payment of <b>{amount_minor}</b> minor units of <b>{currency}</b> asks for your \
         approval.</p><form method=\"post\" action=\"/3ds/{id}\">\
         <button class=\"yes\" name=\"success\" value=\"true\">Approve</button>\
         <button name=\"success\" value=\"false\">Fail</button></form>\
         <p><small>Sandbox 3-D Secure for {id}. No real money.</small></p>"
    ))
}

/// After the answer, when there is no address to return to.
pub(crate) fn done(success: bool) -> String {
    let said = if success { "approved" } else { "failed" };
    page(&format!(
        "<h1>Thank you</h1><p>The authentication {said}. You can close this page.</p>"
    ))
}

/// For an id that waits for nobody.
pub(crate) fn nothing_to_do() -> String {
    page("<h1>Nothing to approve</h1><p>This payment does not wait for an authentication.</p>")
}

/// For a form that says neither yes nor no.
pub(crate) fn bad_answer() -> String {
    page("<h1>Not understood</h1><p>Send <code>success=true</code> or <code>success=false</code>.</p>")
}

fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sandbox 3-D Secure</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body>{body}</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
