//! `--metrics`: what a monitoring system reads of a running session.

use tulpar::RequestError;
use tulpar::runtime::MetricsServer;
use tulpar::runtime::metrics_server::{DEFAULT_ADDRESS, Radios};

/// Who may look.
#[derive(clap::Args, Clone, Default)]
pub struct WatchArguments {
    /// Tell Prometheus (/metrics) and others (/healthz) over HTTP; this computer alone, at port
    /// 9797, if no address is given
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = DEFAULT_ADDRESS,
          help_heading = "Watching")]
    metrics: Option<String>,
}

impl WatchArguments {
    /// Serves what the radios' status says, if that is asked for, until it is dropped.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub fn serve(&self, radios: Radios) -> Result<Option<MetricsServer>, RequestError> {
        let server = self.metrics.as_deref().map(|text| MetricsServer::bind(text, radios));
        let server = server.transpose()?;
        if let Some(server) = &server {
            tracing::info!("metrics at http://{}/metrics", server.address());
        }
        Ok(server)
    }
}
