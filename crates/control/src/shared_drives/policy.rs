//! Which one step leads from what is seen of a drive to what is wanted.

use serde::{Deserialize, Serialize};

/// What is wanted of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// That its network's machines can mount it.
    Present,
    /// That nothing of it is left.
    Gone,
}

/// What is seen of a drive, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Its image.
    pub image: Image,
    /// Its share.
    pub share: Share,
    /// Whether its network is whole.
    pub network: bool,
}

/// A drive's image on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// There is none, and none was made.
    NotMade,
    /// It is there, and no row says so yet, or says how large it is.
    Unrecorded,
    /// It is there, smaller than wanted.
    Small,
    /// It is there, as large as wanted.
    There,
    /// It was made, and is not there.
    Lost,
}

/// A drive's share in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// There is none.
    Absent,
    /// Another password than the wanted one opens it.
    Old,
    /// The wanted password opens it.
    Right,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the image.
    Make,
    /// Write down that the image was made, and how large it is.
    Record,
    /// Make the image larger.
    Grow,
    /// Wait for the network's own visit to make or mend it.
    AwaitNetwork,
    /// Share the drive with the wanted password.
    Share,
    /// Take the share away.
    Unshare,
    /// Remove the image and all that is in it.
    Remove,
    /// Say that the drive is as it should be.
    Settle,
    /// Say that nothing of it is left.
    Forget,
    /// Say that the image is lost.
    TellLost,
}

/// The whole policy, as a pure function: no clock, no database, no host.
pub fn next(intent: Intent, sight: Sight) -> Step {
    match intent {
        Intent::Present => present(sight),
        Intent::Gone if sight.share != Share::Absent => Step::Unshare,
        Intent::Gone => match sight.image {
            Image::NotMade | Image::Lost => Step::Forget,
            Image::Unrecorded | Image::Small | Image::There => Step::Remove,
        },
    }
}

fn present(sight: Sight) -> Step {
    match sight.image {
        Image::Lost => return Step::TellLost,
        Image::NotMade => return Step::Make,
        Image::Unrecorded => return Step::Record,
        Image::Small => return Step::Grow,
        Image::There => {}
    }
    match sight.share {
        Share::Right => Step::Settle,
        Share::Absent | Share::Old if !sight.network => Step::AwaitNetwork,
        Share::Absent | Share::Old => Step::Share,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGES: [Image; 5] = [Image::NotMade, Image::Unrecorded, Image::Small, Image::There, Image::Lost];
    const SHARES: [Share; 3] = [Share::Absent, Share::Old, Share::Right];

    fn row(intent: Intent, image: Image, network: bool) -> String {
        let steps = SHARES.map(|share| format!("{:?}", next(intent, Sight { image, share, network })));
        let network = if network { "whole" } else { "missing" };
        format!("{intent:?}, {image:?}, network {network}: {}", steps.join(" / "))
    }

    /// Every sight there is: the step without a share, with an old one, with the right one.
    #[test]
    fn the_policy_is_this_table() {
        let mut rows = Vec::new();
        for intent in [Intent::Present, Intent::Gone] {
            for image in IMAGES {
                rows.extend([false, true].map(|network| row(intent, image, network)));
            }
        }
        assert_eq!(
            rows.join("\n"),
            "\
Present, NotMade, network missing: Make / Make / Make
Present, NotMade, network whole: Make / Make / Make
Present, Unrecorded, network missing: Record / Record / Record
Present, Unrecorded, network whole: Record / Record / Record
Present, Small, network missing: Grow / Grow / Grow
Present, Small, network whole: Grow / Grow / Grow
Present, There, network missing: AwaitNetwork / AwaitNetwork / Settle
Present, There, network whole: Share / Share / Settle
Present, Lost, network missing: TellLost / TellLost / TellLost
Present, Lost, network whole: TellLost / TellLost / TellLost
Gone, NotMade, network missing: Forget / Unshare / Unshare
Gone, NotMade, network whole: Forget / Unshare / Unshare
Gone, Unrecorded, network missing: Remove / Unshare / Unshare
Gone, Unrecorded, network whole: Remove / Unshare / Unshare
Gone, Small, network missing: Remove / Unshare / Unshare
Gone, Small, network whole: Remove / Unshare / Unshare
Gone, There, network missing: Remove / Unshare / Unshare
Gone, There, network whole: Remove / Unshare / Unshare
Gone, Lost, network missing: Forget / Unshare / Unshare
Gone, Lost, network whole: Forget / Unshare / Unshare"
        );
    }

    /// From any sight that can be mended, the steps lead to the end, and each is taken once.
    #[test]
    fn every_way_ends() {
        for intent in [Intent::Present, Intent::Gone] {
            for image in IMAGES {
                for share in SHARES {
                    ends(intent, Sight { image, share, network: false });
                }
            }
        }
    }

    fn ends(intent: Intent, begin: Sight) {
        let mut sight = begin;
        for _ in 0..6 {
            match next(intent, sight) {
                Step::Make => sight.image = Image::Unrecorded,
                Step::Record => sight.image = Image::Small,
                Step::Grow => sight.image = Image::There,
                Step::AwaitNetwork => sight.network = true,
                Step::Share => sight.share = Share::Right,
                Step::Unshare => sight.share = Share::Absent,
                Step::Remove => sight.image = Image::NotMade,
                Step::Settle | Step::Forget => return,
                Step::TellLost => return assert_eq!(begin.image, Image::Lost),
            }
        }
        panic!("{intent:?} from {begin:?} comes to no end");
    }
}
