//! The thread that serves HTTP on loopback, and its bounds: connections, headers, time.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Semaphore, oneshot};

/// Connections of one endpoint at a time. Others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;
/// Headers of a request; SDK clients send about fifteen.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's line and headers.
const MAX_HEAD: usize = 64 * 1024;
/// For a request's head, and for a connection that waits for its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// After this long a connection ends with its current request, so that a client that does not read
/// its answers cannot keep a place for ever.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// For the current request, then.
const CONNECTION_GRACE: Duration = Duration::from_secs(60);
/// After a failed accept, which mostly means that the process has no file descriptor left. No event
/// tells when there is one again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For the thread to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a connection that just came is served; otherwise it is reset.
type Admit = Arc<dyn Fn() -> bool + Send + Sync>;

/// One endpoint that is about to be served.
struct Endpoint {
    listener: TcpListener,
    router: Router,
    admit: Admit,
}

/// Endpoints that are bound and not served yet.
pub(super) struct ServerBuilder {
    endpoints: Vec<Endpoint>,
    beside: Vec<Task>,
}

/// What runs beside the endpoints.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl ServerBuilder {
    /// Binds a free port of 127.0.0.1. Clients can connect from now on, and wait for the start.
    pub(super) fn listen(
        &mut self,
        router: Router,
        admit: impl Fn() -> bool + Send + Sync + 'static,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let admit = Arc::new(admit);
        self.endpoints.push(Endpoint {
            listener,
            router,
            admit,
        });
        Ok(address)
    }

    /// Runs a task on the thread too, until the server ends.
    pub(super) fn run_beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.push(Box::pin(task));
    }

    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<Server> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let mut tasks = self.beside;
        for endpoint in self.endpoints {
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(endpoint.listener)?;
            tasks.push(Box::pin(accept(listener, endpoint.router, endpoint.admit)));
        }
        let (stop, stopped) = oneshot::channel();
        let (ended_sender, ended) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("afi-sim-cloud".to_owned())
            .spawn(move || {
                run(runtime, tasks, stopped);
                drop(ended_sender);
            })?;
        Ok(Server {
            stop: Some(stop),
            ended,
            thread: Some(thread),
        })
    }
}

/// The serving thread. Dropping it ends the thread and every connection.
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    /// Its sender is dropped as the thread's last act.
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server without endpoints.
    pub(super) fn builder() -> ServerBuilder {
        ServerBuilder {
            endpoints: Vec::new(),
            beside: Vec::new(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let waited = self.ended.recv_timeout(STOP_TIMEOUT);
        if waited == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(timeout = ?STOP_TIMEOUT, "the cloud's thread did not end in time and is left behind");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the cloud's thread panicked");
        }
    }
}

/// A port of 127.0.0.1 that is taken and refuses connections: bound, and never listened on. Nobody
/// else can get it meanwhile.
#[derive(Debug)]
pub(super) struct RefusingPort {
    _socket: tokio::net::TcpSocket,
    address: SocketAddr,
}

impl RefusingPort {
    pub(super) fn reserve() -> io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        Ok(Self {
            _socket: socket,
            address,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn run(runtime: Runtime, tasks: Vec<Task>, stopped: oneshot::Receiver<()>) {
    for task in tasks {
        runtime.spawn(task);
    }
    // Either way the owner is gone.
    let _ = runtime.block_on(stopped);
    runtime.shutdown_background();
}

async fn accept(listener: tokio::net::TcpListener, router: Router, admit: Admit) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) if !admit() => reset(stream),
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Ends a connection so that the client's next read or write fails.
fn reset(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection is closed instead of reset");
    }
}

async fn serve(stream: TcpStream, router: Router) {
    // An answer is one write, and then waits for the next request: delaying it helps nobody.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let lifetime = tokio::time::timeout(CONNECTION_LIFETIME, connection.as_mut()).await;
    let ended = match lifetime {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            let grace = tokio::time::timeout(CONNECTION_GRACE, connection.as_mut()).await;
            grace.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
