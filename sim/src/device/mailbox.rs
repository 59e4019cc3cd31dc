//! The mailbox's message memory and its registers' side effects; what messages mean is `commands`'.

use std::collections::VecDeque;

use afi_proto::mailbox::{MAX_MESSAGE, MailboxStatus};

/// Words of the message memory, each way.
pub(super) const DEPTH: u32 = (MAX_MESSAGE / 4) as u32;

/// A response as the host finds it.
#[derive(Debug, Clone)]
pub(super) struct Response {
    /// What is in the message memory.
    pub(super) words: Vec<u32>,
    /// What the read length register tells.
    pub(super) length: u32,
}

/// The mailbox.
#[derive(Debug)]
pub(super) struct Mailbox {
    status: MailboxStatus,
    request: Vec<u32>,
    response: Vec<u32>,
    write_index: u32,
    read_index: u32,
    read_length: u32,
    /// Responses that come when the host has taken the one before.
    queue: VecDeque<Response>,
    /// A response that comes again whenever the host has taken it.
    endless: Option<Response>,
}

impl Mailbox {
    /// As after a reset.
    pub(super) fn new() -> Self {
        Self {
            status: MailboxStatus::empty(),
            request: vec![0; DEPTH as usize],
            response: vec![0; DEPTH as usize],
            write_index: 0,
            read_index: 0,
            read_length: 0,
            queue: VecDeque::new(),
            endless: None,
        }
    }

    /// As after a function-level reset, which it reports.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
        self.status = MailboxStatus::FLR_EVENT;
    }

    pub(super) const fn status(&self) -> MailboxStatus {
        self.status
    }

    /// Write 1 to clear. Once the host has taken a response, the next one comes.
    pub(super) fn clear_status(&mut self, events: MailboxStatus) {
        self.status -= events;
        if events.contains(MailboxStatus::RX_EVENT) {
            let next = self.queue.pop_front().or_else(|| self.endless.clone());
            if let Some(response) = next {
                self.present(response);
            }
        }
    }

    /// Zeros in the message memory.
    pub(super) fn initialize(&mut self) {
        self.request.fill(0);
        self.response.fill(0);
    }

    pub(super) const fn write_index(&self) -> u32 {
        self.write_index
    }

    pub(super) const fn set_write_index(&mut self, index: u32) {
        self.write_index = index % DEPTH;
    }

    pub(super) fn write_data(&mut self, word: u32) {
        self.request[self.write_index as usize] = word;
        self.write_index = (self.write_index + 1) % DEPTH;
    }

    pub(super) const fn read_index(&self) -> u32 {
        self.read_index
    }

    pub(super) const fn set_read_index(&mut self, index: u32) {
        self.read_index = index % DEPTH;
    }

    pub(super) fn read_data(&mut self) -> u32 {
        let word = self.response[self.read_index as usize];
        self.read_index = (self.read_index + 1) % DEPTH;
        word
    }

    pub(super) const fn read_length(&self) -> u32 {
        self.read_length
    }

    /// The first words of the request memory; empty when it does not hold so many.
    pub(super) fn request(&self, words: u32) -> Vec<u8> {
        let words = self.request.get(..words as usize).unwrap_or_default();
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Takes a request. Responses to earlier ones that the host did not wait for are dropped.
    pub(super) fn take(&mut self) {
        self.status |= MailboxStatus::TX_EVENT;
        self.queue.clear();
        self.endless = None;
    }

    /// Answers: the first response at once, the others each when the one before was taken.
    pub(super) fn answer(&mut self, responses: impl IntoIterator<Item = Response>) {
        self.queue.extend(responses);
        if let Some(response) = self.queue.pop_front() {
            self.present(response);
        }
    }

    /// Answers the same again and again.
    pub(super) fn answer_endlessly(&mut self, response: Response) {
        self.endless = Some(response.clone());
        self.present(response);
    }

    fn present(&mut self, response: Response) {
        self.response.fill(0);
        for (word, new) in self.response.iter_mut().zip(response.words) {
            *word = new;
        }
        self.read_length = response.length;
        self.read_index = 0;
        self.status |= MailboxStatus::RX_EVENT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_move_on_by_themselves_and_wrap() {
        let mut mailbox = Mailbox::new();
        mailbox.set_write_index(DEPTH - 1);
        mailbox.write_data(1);
        mailbox.write_data(2);
        assert_eq!(mailbox.write_index(), 1);
        let request = mailbox.request(DEPTH);
        assert_eq!(request[..4], 2_u32.to_le_bytes());
        assert_eq!(request[request.len() - 4..], 1_u32.to_le_bytes());
        assert!(mailbox.request(DEPTH + 1).is_empty());
    }

    #[test]
    fn a_second_response_waits_until_the_first_is_taken() {
        let mut mailbox = Mailbox::new();
        let response = |word| Response {
            words: vec![word],
            length: 1,
        };
        mailbox.answer([response(1), response(2)]);
        assert_eq!(mailbox.read_data(), 1);
        mailbox.clear_status(MailboxStatus::TX_EVENT);
        assert_eq!(
            mailbox.read_index(),
            1,
            "taking the other event brings nothing"
        );
        mailbox.clear_status(MailboxStatus::RX_EVENT);
        assert_eq!(mailbox.status(), MailboxStatus::RX_EVENT);
        assert_eq!(mailbox.read_data(), 2);
        mailbox.clear_status(MailboxStatus::RX_EVENT);
        assert_eq!(mailbox.status(), MailboxStatus::empty());
    }

    #[test]
    fn a_new_request_drops_what_nobody_waits_for() {
        let mut mailbox = Mailbox::new();
        let response = Response {
            words: vec![9],
            length: 1,
        };
        mailbox.answer_endlessly(response);
        mailbox.clear_status(MailboxStatus::RX_EVENT);
        assert_eq!(mailbox.status(), MailboxStatus::RX_EVENT);
        mailbox.take();
        mailbox.clear_status(MailboxStatus::RX_EVENT);
        assert_eq!(mailbox.status(), MailboxStatus::TX_EVENT);
    }
}
