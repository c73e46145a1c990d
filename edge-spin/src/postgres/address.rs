//! Where the database is. The address has a password in it, and is shown to nobody.

use std::net::IpAddr;

use pay_once_core::Secret;

/// What an address looks like.
const FORM: &str = "write it like postgres://USER:PASSWORD@HOST/DATABASE, with %40 for an @ in the password";

/// The address of a database, with a password in it.
#[derive(Debug)]
pub struct Address {
    url: Secret,
    password: Secret,
}

impl Address {
    /// Reads the variable `postgres_url`.
    ///
    /// # Errors
    /// One sentence that says what to change. It has no part of the address.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("the variable postgres_url {why}; {FORM}"));
        if text.is_empty() {
            return wrong("is empty");
        }
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"));
        let Some(rest) = rest.filter(|rest| !rest.contains(char::is_whitespace)) else {
            return wrong("is no address of a PostgreSQL database");
        };
        // A second @ would leave a part of the password where the host is named, and hosts are shown.
        let parts: Vec<&str> = rest.split('@').collect();
        let &[user, place] = parts.as_slice() else {
            return wrong("does not have one @ between the user and the host");
        };
        let (place, options) = place.split_once('?').unwrap_or((place, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        if user.is_empty() || hosts.is_empty() || database.is_empty() {
            return wrong("names no user, no host or no database");
        }
        let options: Vec<&str> = options.split('&').filter(|option| !option.is_empty()).collect();
        if options.iter().any(|option| option.starts_with("password=")) {
            return wrong("has the password among its options");
        }
        let mut url = format!("postgres://{user}@{place}");
        let named = |name: &str| options.iter().any(|option| option.starts_with(name));
        // To another machine a downgrade to plain text would be silent. On this one nobody checks a certificate.
        let tls = if hosts.split(',').all(is_local) && !named("hostaddr=") {
            "sslmode=disable"
        } else {
            "sslmode=require"
        };
        let kept = options
            .iter()
            .copied()
            .filter(|option| *option != "sslmode=prefer");
        let is_decided = kept.clone().any(|option| option.starts_with("sslmode="));
        let kept: Vec<&str> = kept.chain((!is_decided).then_some(tls)).collect();
        url.push('?');
        url.push_str(&kept.join("&"));
        let password = user.split_once(':').map_or("", |(_, password)| password);
        Ok(Self {
            url: Secret::new(url),
            password: Secret::new(password),
        })
    }

    pub(super) fn expose(&self) -> &str {
        self.url.expose()
    }

    /// What somebody said, unless it has the password in it.
    pub(super) fn hide(&self, said: String) -> String {
        let password = self.password.expose();
        let plain = Secret::new(plain(password));
        if !password.is_empty() && (said.contains(password) || said.contains(plain.expose())) {
            return "the words of the error are withheld, because they have a part of postgres_url in them"
                .to_owned();
        }
        said
    }
}

fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        if is_port { name } else { host }
    });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A text without its percent signs.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = digits
            .filter(|_| byte == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match coded {
            Some(decoded) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_reached_by_tls() {
        for (address, tls) in [
            ("postgres://ada:p@db.example/shop", "require"),
            (
                "postgresql://ada:p@db.example:5433/shop?sslmode=prefer",
                "require",
            ),
            ("postgres://ada:p@127.0.0.1,db.example/shop", "require"),
            ("postgres://ada:p@localhost/shop?hostaddr=10.0.0.1", "require"),
            ("postgres://ada:p@db.example/shop?sslmode=disable", "disable"),
            ("postgres://ada:p@127.0.0.1:5433/shop", "disable"),
            ("postgres://ada@[::1]:5433/shop?connect_timeout=3", "disable"),
        ] {
            let read = Address::read(address).unwrap();
            let modes: Vec<_> = read.expose().match_indices("sslmode=").collect();
            assert!(
                modes.len() == 1 && read.expose().ends_with(tls),
                "{}",
                read.expose()
            );
        }
    }

    #[test]
    fn the_password_is_shown_to_nobody() {
        let address = Address::read("postgres://ada:ge%40heim@db.example/shop").unwrap();
        assert!(!format!("{address:?}").contains("heim"));
        for said in ["invalid: ge%40heim", "user ada, password ge@heim"] {
            assert!(!address.hide(said.to_owned()).contains("heim"));
        }
        assert_eq!(address.hide("no route to host".to_owned()), "no route to host");
        for bad in [
            "",
            "mysql://ada:geheim@db/shop",
            "host=db password=geheim",
            "postgres://ada:ge@heim@db/shop",
            "postgres://db/geheim",
            "postgres://ada:geheim@db",
            "postgres://ada:geheim@db/",
            "postgres://ada:geheim @db/shop",
            "postgres://ada@db/shop?password=geheim",
        ] {
            let why = Address::read(bad).unwrap_err();
            assert!(
                why.contains("postgres_url") && !why.contains("heim"),
                "{bad}: {why}"
            );
        }
    }
}
