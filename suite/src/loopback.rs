//! Loopback addresses that keep their ports while nobody listens on them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};

/// An IP address of this machine for one server of a test.
///
/// A server that is killed and started again needs its port back. On 127.0.0.1 any connection that another test opens in
/// between can take the port: the kernel gives it a local port of the same range. On Linux every address of 127.0.0.0/8 is
/// this machine's, and a connection to one of them leaves from 127.0.0.1. So an address of which the process identifier
/// is a part is met by no other test. Elsewhere this is 127.0.0.1.
#[must_use]
pub fn own_ip() -> IpAddr {
    static SERIAL: AtomicU8 = AtomicU8::new(0);
    if !cfg!(target_os = "linux") {
        return IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed) % 250;
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, serial + 1, high, low))
}

/// Such an address with a port that is free, and stays so until it is used.
///
/// # Errors
/// Those of binding a socket.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((own_ip(), 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::{free_address, own_ip};

    #[test]
    fn a_connection_to_an_own_address_does_not_leave_from_it() {
        let address = free_address().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let from = stream.local_addr().unwrap().ip();
        assert_eq!(listener.accept().unwrap().1.ip(), from);
        if cfg!(target_os = "linux") {
            assert_ne!(from, address.ip());
            assert_ne!(own_ip(), own_ip());
        }
    }
}
