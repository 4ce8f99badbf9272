//! A name server that knows one name (RFC 1035).

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};

const HEAD: usize = 12;
/// An answer to a question of a client that wants no recursion to be left out; with this code in its last bits.
const ANSWER: u16 = 0x8180;
const NO_SUCH_NAME: u16 = 3;
const A: [u8; 4] = [0, 1, 0, 1];

/// Answers on port 53 until the test ends. The names that it was asked for.
pub fn start(address: Ipv4Addr, name: &'static str, is_at: Ipv4Addr) -> Arc<Mutex<Vec<String>>> {
    let socket = UdpSocket::bind((address, 53)).expect("port 53, which takes root");
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let names = asked.clone();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question) {
            let (wanted, kind, end) = read(&question[..length]);
            let _ = socket.send_to(&answer(&question[..end], wanted == name, kind == A, is_at), client);
            names.lock().unwrap().push(wanted);
        }
    });
    asked
}

/// The name that is asked for, type and class, and where the question ends.
fn read(message: &[u8]) -> (String, [u8; 4], usize) {
    let (mut labels, mut at) = (vec![], HEAD);
    while message[at] != 0 {
        let next = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..next]).to_lowercase());
        at = next;
    }
    (labels.join("."), message[at + 1..at + 5].try_into().unwrap(), at + 5)
}

fn answer(question: &[u8], is_known: bool, is_address: bool, is_at: Ipv4Addr) -> Vec<u8> {
    let code = if is_known { 0 } else { NO_SUCH_NAME };
    let answers = u16::from(is_known && is_address);
    let mut answer = question[..2].to_vec();
    for word in [ANSWER | code, 1, answers, 0, 0] {
        answer.extend(word.to_be_bytes());
    }
    answer.extend(&question[HEAD..]);
    if answers == 1 {
        // The name of the question, for a minute.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(is_at.octets());
    }
    answer
}
