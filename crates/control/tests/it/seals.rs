//! The key that a store's secrets are sealed with.

use std::sync::Arc;

use deckle_api::Timestamp;
use deckle_control::catalogue::Catalogue;
use deckle_control::clock::SystemClock;
use deckle_control::config::Config;
use deckle_control::error::chain;
use deckle_control::seal::Sealer;
use deckle_control::start::{Start, start};
use deckle_engine::emulator::Emulator;

#[tokio::test]
async fn a_store_is_opened_with_its_own_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |key: u8| {
        let opened = start(Start {
            config: Config::default(),
            catalogue: Catalogue::built_in(),
            database: format!("sqlite:{}", folder.path().join("store.db").display()).parse().unwrap(),
            schema: None,
            sealer: Sealer::new([key; 32]),
            clock: Arc::new(SystemClock),
            engine: Arc::new(Emulator::new(Arc::new(Timestamp::of_system_clock))),
            templates: Vec::new(),
            watch: None,
        });
        opened.await.map(drop).map_err(|error| chain(&error))
    };
    assert_eq!(open(1).await, Ok(()));
    assert_eq!(open(1).await, Ok(()));
    let told = open(2).await.unwrap_err();
    assert!(told.contains("put the seal.key back"), "{told}");
    assert_eq!(open(1).await, Ok(()));
}
