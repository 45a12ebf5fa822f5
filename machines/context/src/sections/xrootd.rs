//! `[xrootd]`: a caching proxy for data that are read over the XRootD protocol.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::Planner;
use crate::text::{PlainPath, Word};

/// The proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct XRootD {
    /// Where the data are: `origin.example.org:1094`.
    pub origin: Option<Word>,
    /// The port; 1094 without.
    pub port: Option<u16>,
    /// Paths that are served; `/` without.
    pub export: Vec<PlainPath>,
    /// Where it keeps things; it keeps nothing without.
    pub cache: Option<PlainPath>,
    /// Percent of the disk at which it begins to throw away.
    pub high_water: Option<u8>,
    /// Percent of the disk at which it stops to.
    pub low_water: Option<u8>,
    /// Memory that it uses, in MiB.
    pub memory: Option<u32>,
}

impl Section for XRootD {
    fn merge(&mut self, other: Self) {
        later(&mut self.origin, other.origin);
        later(&mut self.port, other.port);
        longer(&mut self.export, other.export);
        later(&mut self.cache, other.cache);
        later(&mut self.high_water, other.high_water);
        later(&mut self.low_water, other.low_water);
        later(&mut self.memory, other.memory);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        let Some(origin) = &self.origin else {
            return planner
                .refuse("nothing says where the data are", Some("name the origin: origin.example.org:1094"));
        };
        let mut text = format!("# Written by Varve.\nxrd.port {}\nall.export /\n", self.port.unwrap_or(1094));
        if !self.export.is_empty() {
            text = text.replace("all.export /\n", "");
            text.extend(self.export.iter().map(|path| format!("all.export {path}\n")));
        }
        text += &format!("ofs.osslib libXrdPss.so\npss.origin {origin}\n");
        if let Some(cache) = &self.cache {
            let (low, high) = (self.low_water.unwrap_or(85), self.high_water.unwrap_or(95));
            text += &format!(
                "pss.cachelib libXrdPfc.so\noss.localroot {cache}\npfc.ram {}m\npfc.diskusage {:.2} {:.2}\n",
                self.memory.unwrap_or(1024),
                f64::from(low.min(100)) / 100.0,
                f64::from(high.min(100)) / 100.0
            );
        }
        planner.file("/etc/xrootd/xrootd-varve.cfg", text);
        planner.enable_if_there("xrootd@varve.service");
    }
}
