//! Tests of the JTAG server: its protocol, its clients, its bridge.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;

use afi_pcie::Bus as _;
use afi_pcie::bus::Caching;
use afi_proto::{BarIndex, Family};
use proptest::prelude::*;

use super::super::Tool;
use super::super::tests::rig::{HELLO, Rig};
use super::bridge::Bridge;
use super::server;
use super::xvc::{self, LONGEST, MOST_BYTES, Message, XvcError};

/// A slot with a design in it: nothing answers behind the bridge otherwise.
fn loaded() -> Rig {
    let rig = Rig::new(Family::F1, 1);
    let load = rig.run(Tool::Load, &format!("-S 0 -I {HELLO}"));
    assert_eq!(load.status, 0, "{}", load.err);
    rig
}

/// What the simulated shift register holds at first.
const AT_FIRST: u32 = 0xAF10_0001;

fn shift(bits: u32, tms: &[u8], tdi: &[u8]) -> Vec<u8> {
    [b"shift:", &bits.to_le_bytes()[..], tms, tdi].concat()
}

#[test]
fn messages_are_taken_as_a_whole_or_not_at_all() {
    let messages = [
        (b"getinfo:".to_vec(), Message::GetInfo),
        (b"settck:\x64\0\0\0".to_vec(), Message::SetTck(100)),
        (
            shift(9, &[1, 2], &[3, 4]),
            Message::Shift {
                bits: 9,
                tms: &[1, 2],
                tdi: &[3, 4],
            },
        ),
        (
            shift(0, &[], &[]),
            Message::Shift {
                bits: 0,
                tms: &[],
                tdi: &[],
            },
        ),
    ];
    for (bytes, message) in messages {
        for cut in 0..bytes.len() {
            assert_eq!(xvc::parse(&bytes[..cut]), Ok(None), "{message:?}, {cut}");
        }
        let more = [&*bytes, b"next"].concat();
        assert_eq!(xvc::parse(&more), Ok(Some((message, bytes.len()))));
    }
}

#[test]
fn what_is_no_message_is_refused_at_once() {
    for bytes in [&b"x"[..], b"getinfo;", b"GET / HTTP/1.1", b"\0"] {
        let error = xvc::parse(bytes).unwrap_err();
        assert!(matches!(error, XvcError::Unknown { .. }), "{error}");
    }
    let most = 8 * MOST_BYTES as u32;
    assert_eq!(xvc::parse(&shift(most, &[], &[])), Ok(None));
    for bits in [most + 1, u32::MAX] {
        let error = XvcError::TooLong { bits };
        assert_eq!(xvc::parse(&shift(bits, &[], &[])), Err(error));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parsing_never_panics_and_never_asks_for_more_than_fits(bytes: Vec<u8>, bits: u32) {
        let _ = xvc::parse(&bytes);
        let whole = shift(bits, &[], &[]);
        match xvc::parse(&[&*whole, &vec![0; LONGEST]].concat()) {
            Ok(Some((_, length))) => prop_assert!(length <= LONGEST),
            other => prop_assert!(other.is_err(), "{other:?}"),
        }
    }

    /// Whatever the cut into words, what goes in comes out 32 bits later.
    #[test]
    fn shifts_of_any_length_keep_the_order_of_bits(bits in 1u32..200, seed: u64) {
        let rig = loaded();
        let bridge = bridge(&rig);
        let mut random = seed | 1;
        let tdi: Vec<u8> = (0..bits.div_ceil(8)).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        }).collect();
        let tms = vec![0; tdi.len()];
        let first = bridge.shift(bits, &tms, &tdi).unwrap();
        let then = bridge.shift(32, &[0; 4], &[0; 4]).unwrap();
        let bit = |bytes: &[u8], at: u32| bytes[at as usize / 8] >> (at % 8) & 1;
        let out = |at: u32| match at < bits {
            true => bit(&first, at),
            false => bit(&then, at - bits),
        };
        for at in 0..32.min(bits) {
            prop_assert_eq!(out(at), bit(&AT_FIRST.to_le_bytes(), at));
        }
        for at in 0..bits {
            prop_assert_eq!(out(at + 32), bit(&tdi, at), "bit {}", at);
        }
    }
}

fn bridge(rig: &Rig) -> Bridge {
    open(rig).unwrap()
}

fn open(rig: &Rig) -> Result<Bridge, afi_pcie::BusError> {
    let function = rig.bus.open("0000:00:1e.0".parse().unwrap())?;
    let bar = function.bar(BarIndex::BAR2, Caching::None)?;
    Ok(Bridge::new(function, bar))
}

/// Runs the server while `clients` talk to it, and gives what it logged.
fn with_server(rig: &Rig, clients: impl FnOnce(&dyn Fn() -> TcpStream)) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopper) = UnixStream::pair().unwrap();
    let log = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            server::serve(&listener, stop.as_fd(), &|| open(rig), &mut |error| {
                log.lock().unwrap().push(error.to_string());
            })
        });
        // Ends the server when `clients` panics, too.
        let stopper = stopper;
        clients(&|| {
            let client = TcpStream::connect(address).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            client
        });
        drop(stopper);
        server.join().unwrap().unwrap();
    });
    log.into_inner().unwrap()
}

fn ask(client: &mut TcpStream, message: &[u8], length: usize) -> Vec<u8> {
    client.write_all(message).unwrap();
    let mut answer = vec![0; length];
    client.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn a_debugger_is_served_and_the_next_one_after_it() {
    let rig = loaded();
    let log = with_server(&rig, |connect| {
        for expected in [AT_FIRST, 0x1234_5678] {
            let mut client = connect();
            assert_eq!(ask(&mut client, b"getinfo:", 21), b"xvcServer_v1.0:10000\n");
            assert_eq!(ask(&mut client, b"settck:\x64\0\0\0", 4), [0x64, 0, 0, 0]);
            let tdi = 0x1234_5678u32.to_le_bytes();
            let out = ask(&mut client, &shift(32, &[0; 4], &tdi), 4);
            assert_eq!(out, expected.to_le_bytes());
        }
    });
    assert_eq!(log, [""; 0]);
}

#[test]
fn messages_come_in_pieces_and_several_at_once() {
    let rig = loaded();
    let log = with_server(&rig, |connect| {
        let mut client = connect();
        client.set_nodelay(true).unwrap();
        let all = [
            &b"getinfo:"[..],
            &shift(8, &[0], &[0xAA]),
            &shift(8, &[0], &[0]),
        ]
        .concat();
        for byte in all {
            client.write_all(&[byte]).unwrap();
        }
        let mut answer = [0; 23];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[..21], b"xvcServer_v1.0:10000\n");
        // The lowest byte first.
        assert_eq!(answer[21..], AT_FIRST.to_le_bytes()[..2]);
    });
    assert_eq!(log, [""; 0]);
}

#[test]
fn a_client_that_speaks_something_else_is_dropped_and_others_are_served() {
    let rig = loaded();
    let log = with_server(&rig, |connect| {
        for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &shift(u32::MAX, &[], &[])] {
            let mut client = connect();
            client.write_all(nonsense).unwrap();
            let mut rest = Vec::new();
            // Closed, or reset because of what was not read.
            match client.read_to_end(&mut rest) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
            }
            assert_eq!(rest, b"");
        }
        ask(&mut connect(), b"getinfo:", 21);
    });
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0].contains("does not speak the protocol"), "{log:?}");
}

#[test]
fn a_card_that_is_gone_ends_the_session_instead_of_inventing_bits() {
    let rig = loaded();
    let log = with_server(&rig, |connect| {
        let mut client = connect();
        ask(&mut client, b"getinfo:", 21);
        rig.fault("device-gone");
        client.write_all(&shift(8, &[0], &[0])).unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    });
    assert_eq!(log, ["the debugger's shift did not work"]);
}

#[test]
fn the_server_ends_while_a_debugger_is_connected() {
    let rig = loaded();
    let mut left = None;
    with_server(&rig, |connect| {
        let mut client = connect();
        ask(&mut client, b"getinfo:", 21);
        left = Some(client);
    });
    assert_eq!(left.unwrap().read(&mut [0; 8]).unwrap(), 0);
}
