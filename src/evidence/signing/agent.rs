//! ssh-agent's protocol, as far as signing needs it (IETF draft-ietf-sshm-ssh-agent, sections 4.4 and 4.5).

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::error::SignError;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// SSH_AGENT_RSA_SHA2_512; other kinds of keys ignore it.
const RSA_SHA2_512: u32 = 4;
/// An answer is a few kilobytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A person may have to confirm or to touch a token.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection to an agent.
pub(super) struct Agent(UnixStream);

impl Agent {
    /// Connects to the socket that `SSH_AUTH_SOCK` names.
    pub(super) fn connect(socket: Option<&Path>) -> Result<Self, SignError> {
        let socket = socket.ok_or_else(|| agent("SSH_AUTH_SOCK is not set"))?;
        let stream = UnixStream::connect(socket).map_err(|error| agent(format!("{}: {error}", socket.display())))?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(agent)?;
        Ok(Agent(stream))
    }

    /// The public keys that the agent holds, encoded as SSH does.
    pub(super) fn keys(&mut self) -> Result<Vec<Vec<u8>>, SignError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], IDENTITIES_ANSWER)?;
        let mut rest = &answer[..];
        let count = take_u32(&mut rest).ok_or_else(malformed)?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(take_string(&mut rest).ok_or_else(malformed)?.to_vec());
            take_string(&mut rest).ok_or_else(malformed)?;
        }
        Ok(keys)
    }

    /// A signature: the name of its algorithm and its bytes.
    pub(super) fn sign(&mut self, key: &[u8], data: &[u8]) -> Result<(String, Vec<u8>), SignError> {
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, key);
        put_string(&mut request, data);
        request.extend(RSA_SHA2_512.to_be_bytes());
        let answer = self.ask(&request, SIGN_RESPONSE)?;
        let mut rest = &answer[..];
        let mut signature = take_string(&mut rest).ok_or_else(malformed)?;
        let name = take_string(&mut signature).ok_or_else(malformed)?;
        let bytes = take_string(&mut signature).ok_or_else(malformed)?;
        // Keys on tokens append flags and a counter.
        let bytes = [bytes, signature].concat();
        Ok((String::from_utf8(name.to_vec()).map_err(|_| malformed())?, bytes))
    }

    fn ask(&mut self, request: &[u8], expected: u8) -> Result<Vec<u8>, SignError> {
        let mut message = Vec::new();
        put_string(&mut message, request);
        self.0.write_all(&message).map_err(agent)?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length).map_err(agent)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > ANSWER_BYTES_MAX {
            return Err(malformed());
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).map_err(agent)?;
        if answer[0] == expected {
            Ok(answer.split_off(1))
        } else {
            Err(agent("it refused; perhaps the confirmation was missing"))
        }
    }
}

fn agent(reason: impl ToString) -> SignError {
    SignError::Agent { reason: reason.to_string() }
}

fn malformed() -> SignError {
    agent("its answer is malformed")
}

fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(bytes);
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    let (head, rest) = from.split_first_chunk::<4>()?;
    *from = rest;
    Some(u32::from_be_bytes(*head))
}

/// The length-prefixed string at the beginning.
pub(super) fn take_string<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(from)? as usize;
    let (head, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(head)
}
