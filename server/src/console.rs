//! The operator's page, and the page of one attempt in the quick start. Both are static files of the binary: they have no data, and
//! their scripts ask the API of the listener that served them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

/// The path of the operator's page, on the operators' listener.
pub(crate) const PAGE: &str = "/console";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const CONSOLE: &str = include_str!("console/index.html");
const ATTEMPT: &str = include_str!("console/attempt.html");

/// What the pages load: name, media type, text.
const FILES: [(&str, &str, &str); 15] = [
    ("style.css", STYLE, include_str!("console/style.css")),
    ("picture.css", STYLE, include_str!("console/picture.css")),
    ("icon.svg", "image/svg+xml", include_str!("console/icon.svg")),
    ("api.js", SCRIPT, include_str!("console/api.js")),
    ("attempt.js", SCRIPT, include_str!("console/attempt.js")),
    ("axis.js", SCRIPT, include_str!("console/axis.js")),
    ("detail.js", SCRIPT, include_str!("console/detail.js")),
    ("dom.js", SCRIPT, include_str!("console/dom.js")),
    ("facts.js", SCRIPT, include_str!("console/facts.js")),
    ("format.js", SCRIPT, include_str!("console/format.js")),
    ("lists.js", SCRIPT, include_str!("console/lists.js")),
    ("picture.js", SCRIPT, include_str!("console/picture.js")),
    ("resolve.js", SCRIPT, include_str!("console/resolve.js")),
    ("script.js", SCRIPT, include_str!("console/script.js")),
    ("story.js", SCRIPT, include_str!("console/story.js")),
];

/// A browser runs nothing but the files above, sends nothing elsewhere, and shows the page in no other page. The sinks that make
/// markup of text are closed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The operator's page or one of its files. `None`: the path is none of theirs.
pub(crate) fn of_operators<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.uri().path() == PAGE {
        return Some(answer(request, HTML, CONSOLE));
    }
    file(request)
}

/// The page of an attempt, for a browser that asks for the attempt, or one of its files. `None`: the request is the API's.
pub(crate) fn quick_start<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read && is_attempt(request.uri().path()) && prefers_html(request) {
        let mut page = answer(request, HTML, ATTEMPT);
        page.headers_mut()
            .insert(hyper::header::VARY, HeaderValue::from_static("Accept"));
        return Some(page);
    }
    file(request)
}

fn file<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let name = request.uri().path().strip_prefix(PAGE)?.strip_prefix('/')?;
    let (_, media_type, text) = FILES.iter().find(|(known, ..)| *known == name)?;
    Some(answer(request, media_type, text))
}

fn is_attempt(path: &str) -> bool {
    let id = path.strip_prefix("/attempts/").unwrap_or_default();
    !id.is_empty() && !id.contains('/')
}

fn answer<B>(request: &Request<B>, media_type: &'static str, text: &'static str) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let body = if is_read { text } else { "" };
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    if !is_read {
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

/// Whether the client wants HTML more than JSON, as browsers do (RFC 9110 §12.5.1). A range like `*/*` asks for JSON: programs send it.
fn prefers_html<B>(request: &Request<B>) -> bool {
    let (mut html, mut json) = (0.0, None);
    let mut any: f32 = 0.0;
    let lines = request.headers().get_all(ACCEPT).iter();
    for range in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(Some(1.0), |weight| weight.parse::<f32>().ok())
            .unwrap_or(0.0);
        match kind.as_str() {
            "text/html" => html = weight,
            "application/json" | "application/problem+json" => {
                json = Some(weight.max(json.unwrap_or(0.0)));
            }
            "application/*" | "*/*" => any = any.max(weight),
            _ => {}
        }
    }
    html > json.unwrap_or(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, accept: &str) -> Request<()> {
        let request = Request::builder().uri(path).header(ACCEPT, accept);
        request.body(()).unwrap()
    }

    #[test]
    fn a_browser_is_shown_a_page_and_a_program_json() {
        const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, is_page) in [
            (BROWSER, true),
            ("text/html", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("text/html, application/json", false),
            ("application/json;q=0.5, text/html", true),
            ("text/html;q=0.1, */*", false),
            ("text/html;q=nonsense", false),
        ] {
            assert_eq!(
                quick_start(&request("/attempts/pa_1", accept)).is_some(),
                is_page,
                "{accept}"
            );
        }
        for path in [
            "/attempts",
            "/attempts/",
            "/attempts/pa_1/capture",
            "/charge",
            "/console",
        ] {
            assert!(quick_start(&request(path, BROWSER)).is_none(), "{path}");
        }
    }

    /// A file that a page or a script names is there, and every file that is there is named.
    #[test]
    fn every_file_is_used_and_every_used_file_is_there() {
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([CONSOLE, ATTEMPT]);
        let all: Vec<&str> = texts.collect();
        for (name, ..) in FILES {
            let names = [format!("/console/{name}\""), format!("'./{name}'")];
            let is_used = all
                .iter()
                .any(|text| names.iter().any(|name| text.contains(name)));
            assert!(is_used, "nothing uses {name}");
        }
        for text in all {
            for used in text
                .split("from './")
                .skip(1)
                .chain(text.split("\"/console/").skip(1))
            {
                let name = used.split(['\'', '"']).next().unwrap();
                assert!(FILES.iter().any(|(known, ..)| *known == name), "no {name}");
            }
        }
    }

    /// What the policy forbids would not work, and markup out of text would be a hole.
    #[test]
    fn no_file_has_what_the_policy_forbids() {
        for text in FILES.iter().map(|(_, _, text)| *text).chain([CONSOLE, ATTEMPT]) {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                " style=",
                " onclick=",
                "localStorage",
            ] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
    }

    #[test]
    fn files_are_only_read() {
        let mut request = request("/console/style.css", "*/*");
        let read = of_operators(&request).unwrap();
        assert_eq!(read.status(), StatusCode::OK);
        assert_eq!(read.headers()[CONTENT_TYPE], STYLE);
        *request.method_mut() = Method::POST;
        assert_eq!(
            of_operators(&request).unwrap().status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert!(of_operators(&self::request("/console/../style.css", "*/*")).is_none());
        assert!(of_operators(&self::request("/console/", "*/*")).is_none());
    }
}
