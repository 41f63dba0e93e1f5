//! The moment of a move: the machine is nowhere, and from then on in its other network.

use deckle_engine::{Engine, Error as Fault};
use sea_orm::ActiveValue::Set;

use super::super::{namesakes, store};
use super::Visit;
use crate::error::Result;
use crate::firewall_rules;
use crate::reconciler::Next;

impl Visit<'_> {
    /// Says that the machine is in its other network. Until then every visit looks for it in the one that it
    /// leaves. It is unplugged there once more: half a port is seen as none.
    pub(super) async fn change_network(
        &mut self,
        engine: &dyn Engine,
    ) -> Result<std::result::Result<Next, Fault>> {
        let row = &self.row;
        let (Some(to), Some(ip)) = (&row.moving_to, row.moving_ip) else { return Ok(Ok(Next::Now)) };
        if let Err(fault) = engine.remove_nic(&row.id.0, &row.host_network()).await {
            return Ok(Err(fault));
        }
        let mut changes = store::changes(row);
        changes.network_id = Set(Some(to.clone()));
        changes.private_ip = Set(ip);
        changes.moving_to = Set(None);
        changes.moving_ip = Set(None);
        changes.named = Set(false);
        let mut tx = self.app.store.begin().await?;
        if !store::change(&*tx, row, changes).await? {
            return Ok(Ok(Next::Now));
        }
        if let Some(from) = &row.network_id {
            namesakes::left(&mut tx, &from.0, &row.name_folded).await?;
            firewall_rules::service::leave(&mut tx, &row.team_id.0, &row.id.0, &from.0).await?;
        }
        namesakes::joined(&mut tx, &to.0, &row.name_folded, &row.id.0).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }
}
