//! The simulator of Pay Once (`sim/README.md`).
