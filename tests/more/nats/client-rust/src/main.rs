// SPDX-License-Identifier: Apache-2.0
// client-rust URL,... cluster [SUFFIX]: cluster.rs. client-rust URL: core NATS, JetStream, key-value and object store by async-nats, in one story; what it
// prints holds no ids and no times.
use async_nats::jetstream::{self, consumer, kv, object_store, stream};
use futures::StreamExt;
use std::time::Duration;
use tokio::io::AsyncReadExt;

mod cluster;

type Outcome = Result<(), async_nats::Error>;

async fn core(client: &async_nats::Client) -> Outcome {
    let mut sub = client.subscribe("core.*").await?;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("K", "v");
    client.publish_with_headers("core.x", headers, "one".into()).await?;
    let m = sub.next().await.expect("a message");
    println!("core {} {:?} {:?}", m.subject, m.payload, m.headers.and_then(|h| h.get("K").map(|v| v.to_string())));
    let mut work = client.queue_subscribe("work", "q".to_string()).await?;
    let server = client.clone();
    let task = tokio::spawn(async move {
        let m = work.next().await.expect("a request");
        server.publish(m.reply.expect("a reply"), "done".into()).await.expect("published");
    });
    client.flush().await?;
    println!("core {:?}", client.request("work", "it".into()).await?.payload);
    task.await?;
    println!("nobody: {}", client.request("nobody", "".into()).await.expect_err("no responders"));
    Ok(())
}

async fn streams(js: &jetstream::Context) -> Outcome {
    let s = js
        .create_stream(stream::Config {
            name: "ORDERS".into(),
            subjects: vec!["orders.>".into()],
            allow_direct: true,
            description: Some("d".into()),
            ..Default::default()
        })
        .await?;
    for i in 0..6 {
        let ack = js.publish(format!("orders.{}", i % 2), format!("{i}").into()).await?.await?;
        println!("ack {} {} {}", ack.stream, ack.sequence, ack.duplicate);
    }
    println!("no stream: {}", js.publish("nobody", "".into()).await?.await.expect_err("no stream"));
    println!("last {:?}", s.direct_get_last_for_subject("orders.0").await?.subject);
    let c: consumer::PullConsumer = s
        .create_consumer(consumer::pull::Config {
            durable_name: Some("D".into()),
            filter_subject: "orders.1".into(),
            ..Default::default()
        })
        .await?;
    let mut batch = c.fetch().max_messages(3).expires(Duration::from_secs(20)).messages().await?;
    while let Some(m) = batch.next().await {
        let m = m?;
        let info = m.info()?;
        println!("pulled {} {:?} {} {} {}", m.subject, m.payload, info.stream, info.consumer, info.stream_sequence);
        m.double_ack().await?;
    }
    let ordered = s.create_consumer(consumer::pull::OrderedConfig::default()).await?;
    let mut messages = ordered.messages().await?.take(6);
    while let Some(m) = messages.next().await {
        println!("ordered {:?}", m?.payload);
    }
    let mut names = js.stream_names();
    while let Some(name) = names.next().await {
        println!("name {}", name?);
    }
    println!("missing: {}", js.get_stream("NONE").await.err().map_or("none".into(), |e| e.to_string()));
    println!("purged {}", s.purge().filter("orders.0").await?.purged);
    println!("deleted {}", js.delete_stream("ORDERS").await?.success);
    Ok(())
}

async fn key_value(js: &jetstream::Context) -> Outcome {
    let bucket = js.create_key_value(kv::Config { bucket: "config".into(), history: 3, ..Default::default() }).await?;
    let mut watch = bucket.watch_all().await?;
    println!("kv {} {}", bucket.put("a.b", "1".into()).await?, bucket.create("c", "2".into()).await?);
    println!("kv {}", bucket.update("c", "3".into(), 2).await?);
    println!("kv create: {}", bucket.create("c", "x".into()).await.is_err());
    for _ in 0..3 {
        let e = watch.next().await.expect("an entry")?;
        println!("kv watched {} {:?} {:?}", e.key, e.value, e.operation);
    }
    bucket.delete("a.b").await?;
    println!("kv get {:?}", bucket.get("a.b").await?);
    let mut history = bucket.history("c").await?;
    while let Some(e) = history.next().await {
        let e = e?;
        println!("kv history {} {:?} {}", e.key, e.value, e.revision);
    }
    let mut keys = bucket.keys().await?;
    while let Some(key) = keys.next().await {
        println!("kv key {}", key?);
    }
    println!("kv deleted {}", js.delete_key_value("config").await?.success);
    Ok(())
}

async fn watched(watch: &mut object_store::Watch) -> Outcome {
    let o = watch.next().await.expect("an object")?;
    println!("object watched {} {} {} {}", o.bucket, o.name, o.size, o.deleted);
    Ok(())
}

async fn objects(js: &jetstream::Context) -> Outcome {
    let bucket = js.create_object_store(object_store::Config { bucket: "files".into(), ..Default::default() }).await?;
    let mut watch = bucket.watch().await?;
    let data = vec![7u8; 300_000];
    let info = bucket.put("a b", &mut data.as_slice()).await?;
    println!("object {} {} {} {} {:?}", info.bucket, info.name, info.size, info.chunks, info.digest);
    let mut read = Vec::new();
    bucket.get("a b").await?.read_to_end(&mut read).await?;
    println!("object same {}", read == data);
    watched(&mut watch).await?;
    let link = bucket.add_link("link", &info).await?;
    println!("object link {:?}", link.options.and_then(|o| o.link));
    watched(&mut watch).await?;
    read.clear();
    bucket.get("link").await?.read_to_end(&mut read).await?;
    println!("object link same {}", read == data);
    let mut list = bucket.list().await?;
    while let Some(o) = list.next().await {
        println!("object list {}", o?.name);
    }
    bucket.delete("a b").await?;
    watched(&mut watch).await?;
    println!("object gone {}", bucket.get("a b").await.is_err());
    js.delete_object_store("files").await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let url = std::env::args().nth(1).expect("a URL");
    if std::env::args().nth(2).as_deref() == Some("cluster") {
        return cluster::run(&url, std::env::args().nth(3).unwrap_or_default()).await;
    }
    let client = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_secs(20))).connect(url).await?;
    let js = jetstream::new(client.clone());
    core(&client).await?;
    streams(&js).await?;
    key_value(&js).await?;
    objects(&js).await?;
    client.drain().await?;
    println!("the end");
    Ok(())
}
