//! The load balancer: chooses a server for each request, tries another if none of it was sent, and replays.

use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use turmoil::net::{TcpListener, TcpStream};

use crate::full::stage::Stage;
use crate::full::wire::{Failed, Message, PORT, Pool, ask_within, hung_up, read};
use crate::met::Sometimes;
use crate::plan::Host;

/// How long a replay waits for an answer that nobody wants, in milliseconds.
const REPLAY_LIMIT_MS: u64 = 5_000;

struct Balancer {
    stage: Rc<Stage>,
    pools: Vec<Rc<Pool>>,
}

/// Serves for ever.
pub(in crate::full) async fn run(stage: Rc<Stage>) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let pools: Vec<Rc<Pool>> = (0..stage.processes.len())
        .map(|server| Rc::new(Pool::new(super::name(Host::Server(server)))))
        .collect();
    for pool in &pools {
        spawn_local(Rc::clone(pool).warm_up());
    }
    let balancer = Rc::new(Balancer { stage, pools });
    loop {
        let (stream, _) = listener.accept().await?;
        let balancer = Rc::clone(&balancer);
        spawn_local(async move {
            // A broken connection is its client's to notice.
            let _ = balancer.serve(stream).await;
        });
    }
}

impl Balancer {
    async fn serve(self: Rc<Self>, mut stream: TcpStream) -> std::io::Result<()> {
        while let Some(request) = read(&mut stream).await? {
            let answer = tokio::select! {
                biased;
                answer = self.answer(Rc::new(request)) => answer,
                // Whoever hangs up takes the request's connection with it.
                () = hung_up(&mut stream) => return Ok(()),
            };
            let Some(answer) = answer else {
                return Ok(());
            };
            stream.write_all(&answer.bytes).await?;
        }
        Ok(())
    }

    /// The first answer of one server, or of two.
    async fn answer(self: &Rc<Self>, request: Rc<Message>) -> Option<Message> {
        let first = self.choose();
        let Some(later_ms) = self.replay() else {
            return self.forward(first, &request).await.ok();
        };
        self.stage.meet(Sometimes::BalancerReplay);
        let second = (first + 1) % self.pools.len();
        let (sender, mut answers) = mpsc::unbounded_channel();
        let balancer = Rc::clone(self);
        let copy = Rc::clone(&request);
        spawn_local(async move {
            if let Some(answer) = balancer.replayed(second, &copy).await {
                // Nobody may be waiting any more.
                let _ = sender.send(answer);
            }
            drop(sender);
            balancer.stage.sleep(later_ms).await;
            let third = balancer.choose();
            balancer.replayed(third, &copy).await;
        });
        tokio::select! {
            biased;
            Ok(answer) = self.forward(first, &request) => Some(answer),
            Some(answer) = answers.recv() => Some(answer),
            else => None,
        }
    }

    fn choose(&self) -> usize {
        let last = self.pools.len().saturating_sub(1);
        let mut choices = self.stage.choices.borrow_mut();
        usize::try_from(choices.between(0, u64::try_from(last).unwrap_or(0))).unwrap_or(0)
    }

    /// Whether the next request is sent again, and how much later once more.
    fn replay(&self) -> Option<u64> {
        let windows = self.stage.replays.borrow();
        let mut choices = self.stage.choices.borrow_mut();
        let drawn = windows.iter().map(|(permille, later_ms)| {
            let (hit, later_ms) = (choices.chance(*permille), choices.between(0, *later_ms));
            hit.then_some(later_ms)
        });
        drawn.fold(None, Option::or)
    }

    async fn replayed(&self, server: usize, request: &Message) -> Option<Message> {
        let pool = self.pools.get(server)?;
        self.note(server, "again: ", request);
        ask_within(pool, REPLAY_LIMIT_MS, &request.bytes).await
    }

    /// Sends a request to one server, or to the next if that one cannot be reached.
    async fn forward(&self, first: usize, request: &Message) -> Result<Message, Failed> {
        let next = self.pools.iter().enumerate().cycle().skip(first);
        for (server, pool) in next.take(self.pools.len()) {
            self.note(server, "", request);
            match pool.ask(&request.bytes).await {
                Err(Failed::NotSent) => {}
                answer => return answer,
            }
        }
        Err(Failed::NotSent)
    }

    fn note(&self, server: usize, how: &str, request: &Message) {
        self.stage.pass(Host::Balancer, Host::Server(server), || {
            format!("{how}{}", request.start_line())
        });
    }
}
