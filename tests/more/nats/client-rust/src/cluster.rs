// SPDX-License-Identifier: Apache-2.0
// Three replicas of everything, told line by line on standard input what to do next: "make", "use N", "heard N". One
// connection lives through all of it; a watch and an ordered consumer that end are begun again, as an application would.
use async_nats::jetstream::{self, consumer, kv, object_store, stream};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

type Outcome<T> = Result<T, async_nats::Error>;
type Numbers = Arc<Mutex<BTreeSet<String>>>;

// The same patience as in the other languages: of one try, and of all.
const ONE_TRY: Duration = Duration::from_secs(5);
const ALL_TRIES: Duration = Duration::from_secs(150);

// Until it works: while leaders are elected, servers say no, or nothing.
async fn until<T, F: Future<Output = Outcome<T>>>(what: &str, mut f: impl FnMut() -> F) -> T {
    let (begun, mut last) = (Instant::now(), String::new());
    while begun.elapsed() < ALL_TRIES {
        match tokio::time::timeout(2 * ONE_TRY, f()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(e)) => last = e.to_string(),
            Err(_) => last = "no answer".into(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("never {what} {last}");
    std::process::exit(1);
}

fn same(got: &[u8], want: &[u8]) -> Outcome<()> {
    if got == want { Ok(()) } else { Err(format!("got {} bytes", got.len()).into()) }
}

fn add(numbers: &Numbers, name: &str, before: char) {
    numbers.lock().unwrap().insert(name.rsplit(before).next().unwrap().to_string());
}

fn list(numbers: &Numbers) -> String {
    numbers.lock().unwrap().iter().cloned().collect::<Vec<_>>().join(" ")
}

fn object(n: usize) -> Vec<u8> {
    vec![b'0' + n as u8; 300_000]
}

async fn hear(s: stream::Stream, heard: Numbers) {
    loop {
        let begun: Outcome<()> = async {
            let ordered = s.create_consumer(consumer::pull::OrderedConfig::default()).await?;
            let mut messages = ordered.messages().await?;
            while let Some(m) = messages.next().await {
                add(&heard, &m?.subject, '.');
            }
            Ok(())
        }
        .await;
        let _ = begun;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn watch(bucket: kv::Store, watched: Numbers) {
    loop {
        let begun: Outcome<()> = async {
            let mut entries = bucket.watch_with_history(">").await?;
            while let Some(e) = entries.next().await {
                add(&watched, &e?.key, 'k');
            }
            Ok(())
        }
        .await;
        let _ = begun;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Story {
    js: jetstream::Context,
    suffix: String,
    s: stream::Stream,
    c: consumer::PullConsumer,
    bucket: kv::Store,
    store: object_store::ObjectStore,
    heard: Numbers,
    watched: Numbers,
    pulled: Numbers,
}

impl Story {
    async fn make(client: async_nats::Client, suffix: String) -> Story {
        let mut js = jetstream::new(client);
        js.set_timeout(ONE_TRY);
        let s = until("stream", || async {
            let subjects = vec![format!("orders{suffix}.>")];
            Ok(js.create_stream(stream::Config { name: format!("ORDERS{suffix}"), subjects, num_replicas: 3, ..Default::default() }).await?)
        })
        .await;
        let c = until("consumer", || async {
            let config = consumer::pull::Config { durable_name: Some("D".into()), ack_wait: ONE_TRY, ..Default::default() };
            Ok(s.create_consumer(config).await?)
        })
        .await;
        let bucket = until("bucket", || async {
            let config = kv::Config { bucket: format!("config{suffix}"), history: 3, num_replicas: 3, ..Default::default() };
            Ok(js.create_key_value(config).await?)
        })
        .await;
        let store = until("store", || async {
            let config = object_store::Config { bucket: format!("files{suffix}"), num_replicas: 3, ..Default::default() };
            Ok(js.create_object_store(config).await?)
        })
        .await;
        let (heard, watched) = (Numbers::default(), Numbers::default());
        tokio::spawn(hear(s.clone(), heard.clone()));
        tokio::spawn(watch(bucket.clone(), watched.clone()));
        Story { js, suffix, s, c, bucket, store, heard, watched, pulled: Numbers::default() }
    }

    fn subject(&self, n: usize) -> String {
        format!("orders{}.{n}", self.suffix)
    }

    async fn pull(&self) -> Outcome<()> {
        let mut batch = self.c.fetch().max_messages(1).expires(Duration::from_secs(2)).messages().await?;
        let m = batch.next().await.ok_or("none")??;
        m.double_ack().await?;
        add(&self.pulled, &m.subject, '.');
        Ok(())
    }

    async fn take(&self, n: usize) {
        until("publish", || async {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", format!("id{n}"));
            Ok(self.js.publish_with_headers(self.subject(n), headers, n.to_string().into()).await?.await?)
        })
        .await;
        until("put", || async { Ok(self.bucket.put(format!("k{n}"), n.to_string().into()).await?) }).await;
        until("object", || async { Ok(self.store.put(format!("o{n}").as_str(), &mut object(n).as_slice()).await?) }).await;
        for i in 0..=n {
            until("message", || async {
                same(&self.s.get_last_raw_message_by_subject(&self.subject(i)).await?.payload, i.to_string().as_bytes())
            })
            .await;
            until("value", || async { same(&self.bucket.get(format!("k{i}")).await?.ok_or("none")?, i.to_string().as_bytes()) }).await;
        }
        until("pull", || self.pull()).await;
    }

    async fn all(&self, n: usize) -> String {
        for i in 0..=n {
            until("object back", || async {
                let mut read = Vec::new();
                self.store.get(format!("o{i}")).await?.read_to_end(&mut read).await?;
                same(&read, &object(i))
            })
            .await;
        }
        let lists = || format!("heard {} watched {} pulled {}", list(&self.heard), list(&self.watched), list(&self.pulled));
        until("all", || async {
            if self.pulled.lock().unwrap().len() <= n {
                self.pull().await?;
            }
            let there = [&self.heard, &self.watched, &self.pulled].iter().all(|x| x.lock().unwrap().len() > n);
            if there { Ok(()) } else { Err(lists().into()) }
        })
        .await;
        let messages = until("count", || async { Ok(self.s.get_info().await?.state.messages) }).await;
        format!("{} messages {messages}", lists())
    }
}

pub async fn run(url: &str, suffix: String) -> Outcome<()> {
    let servers: Vec<async_nats::ServerAddr> = url.split(',').map(|one| one.parse()).collect::<Result<_, _>>()?;
    let client = async_nats::ConnectOptions::new().request_timeout(Some(ONE_TRY)).connect(servers).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut story = None;
    while let Some(line) = lines.next_line().await? {
        let (what, n) = line.split_once(' ').unwrap_or((&line, "0"));
        let n: usize = n.parse()?;
        match (what, &story) {
            ("make", _) => story = Some(Story::make(client.clone(), suffix.clone()).await),
            ("use", Some(s)) => s.take(n).await,
            ("heard", Some(s)) => {
                println!("{}", s.all(n).await);
                continue;
            }
            _ => return Err("what?".into()),
        }
        println!("{what} {n}");
    }
    Ok(())
}
