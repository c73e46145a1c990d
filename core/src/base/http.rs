//! HTTP as core sees it: bytes in, bytes out. An adapter translates from and to its own library's types.

/// A request as it arrived. Header names are lower case; repeated lines stay repeated.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Request target: path and, if there is one, the query.
    pub target: &'a str,
    /// Header lines in order of arrival: lower-case name, raw value.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The raw body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Every value of a header, in order.
    pub fn header_values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.headers
            .iter()
            .filter(move |(n, _)| *n == name)
            .map(|(_, value)| *value)
    }

    /// The first value of a header, if it is UTF-8.
    pub fn header(&self, name: &'static str) -> Option<&'a str> {
        self.header_values(name)
            .next()
            .and_then(|v| std::str::from_utf8(v).ok())
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    /// The query; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &'a str {
        let target = self.target.split('#').next().unwrap_or_default();
        target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// An answer, ready for the wire. Every header value is visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines.
    pub headers: Vec<(&'static str, String)>,
    /// Body bytes. The answer to a HEAD has those of the same GET: they give its `Content-Length`, and an adapter's HTTP library
    /// leaves them out.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header, by the name it was set with.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}
