//! One request and its response: counted, logged and taken off the connection's clock when the body is gone, however
//! it went.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use crate::access_log::{AccessLogQueue, Record};
use crate::activity::Activity;
use crate::body::Body;
use crate::metrics::Metrics;

/// The bookkeeping of a request that is under way.
pub(crate) struct Exchange {
    began: Instant,
    status: StatusCode,
    sent: u64,
    activity: Arc<Activity>,
    metrics: Arc<Metrics>,
    log: Option<(AccessLogQueue, Option<Box<Record>>)>,
}

impl Exchange {
    /// A request's header is complete.
    pub(crate) fn begin(
        activity: Arc<Activity>,
        metrics: Arc<Metrics>,
        multiplexed: bool,
        log: Option<(AccessLogQueue, Box<Record>)>,
    ) -> Self {
        activity.request_began(multiplexed);
        let log = log.map(|(queue, record)| (queue, Some(record)));
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { began: Instant::now(), status, sent: 0, activity, metrics, log }
    }

    /// The response is known: its body carries the bookkeeping on.
    pub(crate) fn answer(mut self, status: StatusCode, body: Body) -> ExchangeBody {
        self.status = status;
        ExchangeBody { body, exchange: self }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.request_ended();
        self.metrics.request(self.status, self.sent, self.began.elapsed());
        if let Some((queue, record)) = &mut self.log
            && let Some(mut record) = record.take()
        {
            (record.status, record.sent) = (self.status, self.sent);
            if !queue.push(record) {
                self.metrics.log_line_lost();
            }
        }
    }
}

/// A response's body together with its bookkeeping.
pub(crate) struct ExchangeBody {
    body: Body,
    exchange: Exchange,
}

impl http_body::Body for ExchangeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &poll
            && let Some(data) = frame.data_ref()
        {
            self.exchange.sent += data.len() as u64;
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
