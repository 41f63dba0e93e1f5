//! Who a key belongs to, on the wire.

use std::collections::BTreeMap;

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{SessionId, TeamId, UserId};

/// The user and the team of a key.
#[wire]
pub struct Session {
    /// The user that made the key.
    pub user: SessionUser,
    /// The team that the key acts for.
    pub team: SessionTeam,
}

/// The user of a session.
#[wire]
pub struct SessionUser {
    /// The first name, where it is known.
    pub first_name: Nullable<String>,
    /// The last name, where it is known.
    pub last_name: Nullable<String>,
    /// The mail address.
    pub email: String,
    /// When the user was made.
    pub dt_created: Timestamp,
    /// When the user was confirmed.
    pub dt_confirmed: Nullable<Timestamp>,
    /// The teams that the user is in.
    pub team_memberships: Vec<SessionMembership>,
    /// Always false: Deckle keeps no phone numbers.
    pub is_phone_verified: bool,
    /// Always false: Deckle keeps no passwords of users.
    pub is_password_auth_enabled: bool,
    /// Always false.
    pub is_qr_code_based_mfa_enabled: bool,
    /// Always false.
    pub is_qr_code_based_mfa_confirmed: bool,
    /// Settings of a web console; null.
    #[schema(default = json!(null))]
    pub preferences: Optional<Nullable<Preferences>>,
    /// The user's id.
    pub id: UserId,
    /// A number that stands for the user.
    #[schema(value_type = f64)]
    pub analytics_id: u32,
    /// Facts without meaning to Deckle, there because clients know them.
    pub metadata: SessionMetadata,
}

/// One membership of a session's user.
#[wire]
pub struct SessionMembership {
    /// The team.
    pub team: MembershipTeam,
    /// Whether the user is its owner.
    pub is_owner: bool,
    /// Whether the user is an administrator of it.
    pub is_admin: bool,
}

/// A team that a session's user is in.
#[wire]
pub struct MembershipTeam {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TeamId,
    /// Its name in addresses: lower-case letters, digits and single hyphens.
    pub namespace: String,
    /// A picture; null.
    #[schema(default = json!(null))]
    pub public_profile_image_url: Optional<Nullable<String>>,
    /// Whether it is the user's personal team.
    pub is_user_team: bool,
    /// When it was made.
    pub dt_created: Timestamp,
}

/// Settings of a web console.
#[wire]
pub struct Preferences {
    /// The part of the console that opens first.
    pub default_product: Optional<Nullable<String>>,
    /// The team that opens first.
    pub default_team_id: Optional<Nullable<String>>,
    /// The colours.
    pub theme: Optional<Nullable<Theme>>,
    /// The size of letters.
    pub font_size: Optional<Nullable<f64>>,
    /// Whether hot keys are off.
    pub disable_hotkeys: Optional<Nullable<bool>>,
}

/// The colours of a web console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// Facts without meaning to Deckle.
#[wire]
pub struct SessionMetadata {
    /// Null.
    #[schema(default = json!(null))]
    pub tags: Optional<Nullable<String>>,
    /// Null.
    #[schema(default = json!(null))]
    pub core_survey: Optional<Nullable<BTreeMap<String, String>>>,
    /// Null.
    #[schema(default = json!(null))]
    pub gradient_survey: Optional<Nullable<BTreeMap<String, String>>>,
    /// False.
    #[schema(default = false)]
    pub graphcore_terms_accepted: Optional<bool>,
}

/// The team of a session.
#[wire]
pub struct SessionTeam {
    /// Its name in addresses.
    pub namespace: String,
    /// Whether it is a personal team.
    pub is_private: bool,
    /// How many machines it may have; 1000000 where there is no quota.
    #[schema(value_type = f64)]
    pub max_machines: u32,
    /// Its id.
    pub id: TeamId,
    /// A number that stands for the team.
    #[schema(value_type = f64)]
    pub analytics_id: u32,
}

/// Whether a team may create things: always, on a server of one's own.
#[wire]
pub struct AccountStanding {
    /// Always true.
    pub has_payment_method: bool,
    /// Always false.
    pub is_admin_locked: bool,
    /// Always true.
    pub is_in_good_standing: bool,
    /// Always empty.
    pub messages: Vec<String>,
}

/// How the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    /// It answers.
    Healthy,
}

/// What a dashboard session is made with: nothing.
#[wire(strict)]
pub struct CreateDashboardSession {}

/// A session of a dashboard: a cookie that stands for an API key for some hours.
#[wire]
pub struct DashboardSession {
    /// Its id.
    pub id: SessionId,
    /// When it was made.
    pub dt_created: Timestamp,
    /// When it ends.
    pub dt_expires: Timestamp,
}

crate::list_query! {
    /// The live dashboard sessions of a key.
    ListDashboardSessions by DashboardSessionOrder { DtCreated = "dtCreated" }
    where {}
}
