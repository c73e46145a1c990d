//! The versions of Stripe's API that the sandbox knows, and where they differ.

/// The version at the start of the dial `stripe_default_version`.
pub(crate) const NEWEST_VERSION: &str = "2026-10-28.endive";

/// A version, and what it does with `payment_method_types`.
pub(crate) struct Version {
    pub(crate) name: &'static str,
    /// Whether a PaymentIntent is created, updated and confirmed with `payment_method_types`.
    pub(crate) takes_payment_method_types: bool,
}

const VERSIONS: &[Version] = &[
    Version {
        name: "2026-07-29.dahlia",
        takes_payment_method_types: true,
    },
    Version {
        name: "2026-08-26.dahlia",
        takes_payment_method_types: true,
    },
    Version {
        name: "2026-08-26.preview",
        takes_payment_method_types: false,
    },
    Version {
        name: "2026-09-30.endive",
        takes_payment_method_types: false,
    },
    Version {
        name: NEWEST_VERSION,
        takes_payment_method_types: false,
    },
];

/// Whether a request may name the version.
pub(crate) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

/// The version of that name.
pub(crate) fn find(name: &str) -> Option<&'static Version> {
    VERSIONS.iter().find(|version| version.name == name)
}
