//! Clients and the PSP's notices: whoever comes from outside, through the real front door `route`.

use std::sync::Arc;

use pay_once_core::{Input, Record, Request, Response, Routed, event_read, route};
use pay_once_psp_model::sign;

use super::apply::{Turn, known_input};
use super::cell::{Plot, SECRET};
use super::oracle::{self, Violation};
use super::world::{BEHIND_MS, Known, Origin, Phase};

/// The create key: the attempt's address.
pub(super) const CREATE_KEY: &str = "create";

impl Turn<'_> {
    /// Creates the attempt without a fault, for the plots that begin with one.
    pub(super) fn create(&mut self) -> Result<(), Violation> {
        if self.scene.cell.plot == Plot::Charge {
            return Ok(());
        }
        let headers: [(&str, &[u8]); 1] = [("idempotency-key", CREATE_KEY.as_bytes())];
        let terms = self.scene.cell.plot.terms();
        self.knock(0, Origin::Timer, "/attempts", &headers, terms.as_bytes())?;
        while !self.server(0).jobs.is_empty() {
            self.run(0, 0)?;
        }
        Ok(())
    }

    /// A client sends the request that it is at; `again` while the first is still open.
    pub(super) fn ask(&mut self, client: u8, server: usize, again: bool) -> Result<(), Violation> {
        let at = self
            .world
            .clients
            .get(usize::from(client))
            .map_or(0, |client| client.at);
        let asks = self.scene.cell.plot.asks();
        let Some(ask) = asks
            .get(usize::from(client))
            .and_then(|asks| asks.get(usize::from(at)))
        else {
            return Err(Violation::new("explorer", "a client asks for nothing"));
        };
        let twin_is_open = self.world.servers.iter().flat_map(|server| &server.jobs).any(|(_, job)| {
            matches!(job.origin, Origin::Client { client, at } if asks.get(usize::from(client)).and_then(|asks| asks.get(usize::from(at))).is_some_and(|other| other.key == ask.key))
        });
        if twin_is_open {
            self.lab.covered.duplicate_in_flight += 1;
        }
        if again {
            self.spend(|left| &mut left.duplicates);
        }
        if let Some(client) = self.world.clients.get_mut(usize::from(client))
            && client.told_at.take().is_some()
        {
            client.again_ms = None;
            self.world.left.polls = self.world.left.polls.saturating_sub(1);
        }
        let target = match ask.what {
            "charge" => "/charge".to_owned(),
            what => format!("/attempts/{}/{what}", self.scene.id),
        };
        let terms = self.scene.cell.plot.terms();
        let body = if ask.what == "charge" { &terms } else { ask.body };
        let headers: [(&str, &[u8]); 1] = [("idempotency-key", ask.key.as_bytes())];
        self.knock(
            server,
            Origin::Client { client, at },
            &target,
            &headers,
            body.as_bytes(),
        )
    }

    /// The PSP delivers a notice, signed now.
    pub(super) fn notify(&mut self, notice: u8, server: usize) -> Result<(), Violation> {
        let Some(body) = self.world.ledger.it.notices.get(usize::from(notice)).cloned() else {
            return Err(Violation::new("explorer", "no such notice"));
        };
        if self.world.delivered >> notice & 1 == 1 {
            self.spend(|left| &mut left.duplicates);
        }
        self.world.left.webhooks = self.world.left.webhooks.saturating_sub(1);
        self.world.delivered |= 1 << notice;
        let unheard = |origin: Origin, phase: &Phase| {
            matches!(origin, Origin::Outcome { .. }) && matches!(phase, Phase::Ready(_) | Phase::Decided(..))
        };
        if self
            .world
            .servers
            .iter()
            .flat_map(|s| &s.jobs)
            .any(|(_, job)| unheard(job.origin, &job.phase))
        {
            self.lab.covered.webhook_before_response += 1;
        }
        let psp = self.scene.cell.class.psp();
        let signature = sign(SECRET, self.world.now_ms / 1000, body.as_bytes());
        let header = format!("{psp}-signature");
        let headers: [(&str, &[u8]); 1] = [(&header, signature.as_bytes())];
        let target = format!("/webhooks/{psp}");
        self.knock(
            server,
            Origin::Webhook { notice },
            &target,
            &headers,
            body.as_bytes(),
        )
    }

    fn knock(
        &mut self,
        server: usize,
        origin: Origin,
        target: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<(), Violation> {
        if let Some(input) = self.routed(server, target, headers, body)? {
            self.ready(server, origin, input);
        }
        Ok(())
    }

    /// The front door. `None` for what is no concern of the attempt's; what has to be read first is read at once.
    pub(super) fn routed(
        &mut self,
        server: usize,
        target: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Option<Arc<Known<Input>>>, Violation> {
        let request = Request {
            method: "POST",
            target,
            headers,
            body,
        };
        let clock_ms = self.world.clock(server);
        let mut routed = route(&self.scene.config, &request, clock_ms);
        loop {
            match routed {
                Routed::Attempt { id, input } if id == self.scene.id => return Ok(Some(known_input(input))),
                Routed::Attempt { .. } | Routed::Search(_) => {
                    return Err(Violation::new("explorer", "a request for another attempt"));
                }
                Routed::Read(read) => {
                    let result = self.at_psp(&read.call)?;
                    (routed, _) = event_read(&self.scene.config, *read, &result, clock_ms);
                }
                Routed::Reply(response) if target.starts_with("/webhooks") && response.status == 200 => {
                    return Ok(None);
                }
                Routed::Reply(response) => {
                    let said = String::from_utf8_lossy(&response.body).into_owned();
                    return Err(Violation::new(
                        "http: a good request is let in",
                        format!("{} {said}", response.status),
                    ));
                }
            }
        }
    }

    /// A client hears an answer: it must be true, and it must be what it was.
    pub(super) fn hear(
        &mut self,
        client: u8,
        at: u8,
        response: &Response,
        record: Option<&Record>,
    ) -> Result<(), Violation> {
        let asks = self.scene.cell.plot.asks();
        let Some(ask) = asks
            .get(usize::from(client))
            .and_then(|asks| asks.get(usize::from(at)))
        else {
            return Ok(());
        };
        oracle::answer(self.world, ask, response, record)?;
        let (version, now_ms) = (self.world.version(), self.world.now_ms);
        let Some(client) = self
            .world
            .clients
            .get_mut(usize::from(client))
            .filter(|client| client.at == at)
        else {
            return Ok(());
        };
        // After a rejection the same client asks again under the same key, not before its time.
        client.again_ms = None;
        if response.status == 502 {
            let pause_s = response
                .header("Retry-After")
                .and_then(|seconds| seconds.parse::<u64>().ok());
            client.again_ms =
                Some(now_ms + BEHIND_MS.iter().max().unwrap_or(&0) + 1_000 * pause_s.unwrap_or(1));
        }
        if matches!(response.status, 202 | 502) {
            client.told_at = Some(version);
        } else {
            // B does whatever it does; A, too, goes on after a refusal: nobody may be harmed by that.
            client.at += 1;
            client.told_at = None;
        }
        Ok(())
    }
}
