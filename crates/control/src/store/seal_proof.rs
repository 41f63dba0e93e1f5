//! The proof that the key at hand is the one that the store's secrets are sealed with.

use sea_orm::{ConnectionTrait, Statement};

use super::Store;
use crate::error::{Error, Result};
use crate::seal::Sealer;

const OF: &str = "the proof of the seal key";
const TEXT: &[u8] = b"deckle";

impl Store {
    /// Refuses a key that is not the store's. A new store takes the key that it is opened with.
    pub async fn prove(&self, sealer: &Sealer) -> Result<()> {
        let tx = self.begin().await?;
        let backend = tx.get_database_backend();
        let row = tx.query_one_raw(Statement::from_string(backend, "SELECT proof FROM seal_proof")).await?;
        match row {
            Some(row) => {
                let proof: Vec<u8> = row.try_get("", "proof")?;
                sealer.open(OF, &proof).map(drop).map_err(|error| wrong_key(&error))
            }
            None => {
                let proof = sealer.seal(OF, TEXT);
                let insert = "INSERT INTO seal_proof (proof) VALUES ($1)";
                tx.execute_raw(Statement::from_sql_and_values(backend, insert, [proof.into()])).await?;
                tx.commit().await?;
                Ok(())
            }
        }
    }
}

fn wrong_key(error: &crate::seal::Broken) -> Error {
    let why = format!("{error}; put the seal.key back that the database was made with");
    Error::ours("open the store's secrets", why)
}
