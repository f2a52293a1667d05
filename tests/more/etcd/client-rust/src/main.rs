// SPDX-License-Identifier: Apache-2.0
//! client-rust NAME URL: Rust's etcd-client in one tenant; run at the same time in others with equal names.
//! Every value has the tenant's name in it. "OK" as the last line, or a panic.
use etcd_client::{
    AlarmAction, AlarmType, Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, LeaseGrantOptions,
    LockOptions, ProclaimOptions, PutOptions, ResignOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse,
    WatchOptions, WatchStream,
};

type Done = Result<(), Error>;

async fn keys(c: &mut Client, name: &str) -> Done {
    for key in ["k", "k/1", "k/2"] {
        c.put(key, name, None).await?;
    }
    let got = c.get("", Some(GetOptions::new().with_all_keys())).await?;
    assert!(got.kvs().iter().all(|kv| kv.value_str().unwrap().starts_with(name)), "another's value");
    let options = GetOptions::new().with_prefix().with_sort(SortTarget::Key, SortOrder::Descend).with_limit(2);
    let got = c.get("k", Some(options)).await?;
    assert_eq!(vec!["k/2", "k/1"], got.kvs().iter().map(|kv| kv.key_str().unwrap()).collect::<Vec<_>>());
    assert_eq!((3, true), (got.count(), got.more()));
    let old = c.put("k", format!("{name}!"), Some(PutOptions::new().with_prev_key())).await?;
    assert_eq!((b"k".as_slice(), name.as_bytes()), (old.prev_key().unwrap().key(), old.prev_key().unwrap().value()));
    let past = GetOptions::new().with_revision(old.header().unwrap().revision() - 1);
    assert_eq!(name, c.get("k", Some(past)).await?.kvs()[0].value_str()?);
    let gone = c.delete("k", Some(DeleteOptions::new().with_from_key().with_prev_key())).await?;
    assert_eq!(b"k/2", gone.prev_kvs().last().unwrap().key());
    let refused = c.put("", "no key", None).await.unwrap_err().to_string();
    assert!(refused.contains("key is not provided"), "{refused}");
    Ok(())
}

async fn transactions(c: &mut Client, name: &str) -> Done {
    let inner = Txn::new().and_then(vec![TxnOp::get("t", None), TxnOp::put("t/deep", name, None)]);
    let txn = Txn::new()
        .when(vec![Compare::version("t", CompareOp::Equal, 0), Compare::lease("t", CompareOp::Equal, 0)])
        .and_then(vec![TxnOp::put("t", name, None), TxnOp::txn(inner)])
        .or_else(vec![TxnOp::get("t", Some(GetOptions::new().with_prefix()))]);
    assert!(c.txn(txn.clone()).await?.succeeded());
    let second = c.txn(txn).await?;
    assert!(!second.succeeded());
    match second.op_responses().as_slice() {
        [TxnOpResponse::Get(got)] => assert_eq!(2, got.kvs().len()),
        other => panic!("{other:?}"),
    }
    assert_eq!(2, c.delete("t", Some(DeleteOptions::new().with_prefix())).await?.deleted());
    Ok(())
}

/// The client insists that a stream's first answer is `created`, and that ids stay what it asked for.
async fn next(w: &mut WatchStream, want: &[(&str, &str)]) -> Done {
    let mut seen = vec![];
    while seen.len() < want.len() {
        let got = w.message().await?.expect("the stream of watches ended");
        assert!(!got.canceled(), "{}", got.cancel_reason());
        for e in got.events() {
            let kv = e.kv().unwrap();
            seen.push((kv.key_str()?.to_string(), kv.value_str()?.to_string()));
        }
    }
    assert_eq!(want.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>(), seen);
    Ok(())
}

async fn watches(c: &mut Client, name: &str) -> Done {
    let mut w = c.watch("w/", Some(WatchOptions::new().with_prefix().with_watch_id(7).with_prev_key())).await?;
    let first = c.put("w/1", name, None).await?.header().unwrap().revision();
    c.put("w/2", name, None).await?;
    c.delete("w/1", None).await?;
    loop {
        let got = w.message().await?.unwrap();
        assert_eq!(7, got.watch_id());
        if got.created() {
            break;
        }
    }
    next(&mut w, &[("w/1", name), ("w/2", name), ("w/1", "")]).await?;
    w.watch("w/", Some(WatchOptions::new().with_prefix().with_watch_id(8).with_start_revision(first))).await?;
    next(&mut w, &[("w/1", name), ("w/2", name), ("w/1", "")]).await?;
    w.request_progress().await?;
    loop {
        let got = w.message().await?.unwrap();
        if got.watch_id() == -1 {
            assert!(got.header().unwrap().revision() >= first + 2);
            break;
        }
    }
    w.cancel(7).await?;
    loop {
        let got = w.message().await?.unwrap();
        if got.canceled() {
            assert_eq!(7, got.watch_id());
            break;
        }
    }
    c.delete("w/2", None).await?;
    next(&mut w, &[("w/2", "")]).await
}

async fn leases(c: &mut Client, name: &str) -> Done {
    let lease = c.lease_grant(60, Some(LeaseGrantOptions::new().with_id(100))).await?.id();
    assert_eq!(100, lease); // as in every other tenant
    let other = c.lease_grant(60, None).await?.id();
    c.put("leased", name, Some(PutOptions::new().with_lease(lease))).await?;
    assert_eq!(lease, c.get("leased", None).await?.kvs()[0].lease());
    for id in [lease, other] {
        let (mut keeper, mut answers) = c.lease_keep_alive(id).await?;
        for _ in 0..3 {
            keeper.keep_alive().await?;
            let got = answers.message().await?.unwrap();
            assert_eq!((id, 60), (got.id(), got.ttl()));
        }
    }
    let time = etcd_client::LeaseTimeToLiveOptions::new().with_keys();
    assert_eq!(vec![b"leased".to_vec()], c.lease_time_to_live(lease, Some(time)).await?.keys().to_vec());
    let mut listed: Vec<i64> = c.leases().await?.leases().iter().map(|l| l.id()).collect();
    listed.sort();
    assert_eq!(vec![lease, other], listed);
    for id in [lease, other] {
        c.lease_revoke(id).await?;
    }
    assert_eq!(0, c.get("leased", None).await?.count());
    assert_eq!(-1, c.lease_time_to_live(lease, None).await?.ttl());
    let refused = c.put("leased", name, Some(PutOptions::new().with_lease(lease))).await.unwrap_err().to_string();
    assert!(refused.contains("requested lease not found"), "{refused}");
    Ok(())
}

async fn locks(c: &mut Client, _name: &str) -> Done {
    let key = c.lock("the-lock", None).await?.key().to_vec();
    assert!(key.starts_with(b"the-lock/"));
    c.unlock(key).await?;
    let lease = c.lease_grant(60, None).await?.id();
    let key = c.lock("the-lock", Some(LockOptions::new().with_lease(lease))).await?.key().to_vec();
    assert_eq!(lease, c.get(key.clone(), None).await?.kvs()[0].lease());
    c.unlock(key).await?;
    c.lease_revoke(lease).await?;
    Ok(())
}

async fn elections(c: &mut Client, name: &str) -> Done {
    let lease = c.lease_grant(60, None).await?.id();
    let leader = c.campaign("boss", name, lease).await?.leader().unwrap().clone();
    assert_eq!((b"boss".as_slice(), lease), (leader.name(), leader.lease()));
    let mut seen = c.observe("boss").await?;
    assert_eq!(name, seen.message().await?.unwrap().kv().unwrap().value_str()?);
    let again = format!("{name} again");
    c.proclaim(again.clone(), Some(ProclaimOptions::new().with_leader(leader.clone()))).await?;
    assert_eq!(again, seen.message().await?.unwrap().kv().unwrap().value_str()?);
    assert_eq!(again, c.leader("boss").await?.kv().unwrap().value_str()?);
    c.resign(Some(ResignOptions::new().with_leader(leader))).await?;
    let refused = c.leader("boss").await.unwrap_err().to_string();
    assert!(refused.contains("no leader"), "{refused}");
    c.lease_revoke(lease).await?;
    Ok(())
}

/// What a namespace may ask about the store, and what it may not.
async fn maintenance(c: &mut Client, url: &str) -> Done {
    assert!(c.status().await?.version().starts_with("3."));
    assert!(c.alarm(AlarmAction::Get, AlarmType::None, None).await?.alarms().is_empty());
    let members = c.member_list().await?;
    assert_eq!(1, members.members().len());
    assert_eq!(vec![url.to_string()], members.members()[0].client_urls().to_vec());
    let denied = [
        c.compact(1, None).await.err(), c.defragment().await.err(), c.hash().await.err(), c.hash_kv(0).await.err(),
        c.move_leader(1).await.err(), c.member_add(["http://127.0.0.1:1"], None).await.err(),
        c.member_remove(1).await.err(), c.user_list().await.err(), c.role_list().await.err(),
        c.auth_enable().await.err(), c.user_add("u", "p", None).await.err(),
        c.snapshot().await.err(), // its status comes at once
    ];
    for (i, e) in denied.into_iter().enumerate() {
        let text = e.unwrap_or_else(|| panic!("call {i} was served")).to_string();
        assert!(text.contains("permission denied"), "call {i}: {text}");
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let args: Vec<String> = std::env::args().collect();
    let (name, url) = (args[1].as_str(), args[2].as_str());
    let mut c = Client::connect([url], None).await?;
    keys(&mut c, name).await?;
    transactions(&mut c, name).await?;
    watches(&mut c, name).await?;
    leases(&mut c, name).await?;
    locks(&mut c, name).await?;
    elections(&mut c, name).await?;
    maintenance(&mut c, url).await?;
    println!("OK");
    Ok(())
}
