#include "rpc/asio/client.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "core/json.hpp"
#include "core/log.hpp"

namespace vnvme::rpc {
namespace {
namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

void add(Counters& sum, const Counters& more) {
  sum.requests += more.requests;
  sum.answers += more.answers;
  sum.late += more.late;
  sum.duplicate += more.duplicate;
  sum.unknown += more.unknown;
  sum.missed += more.missed;
}

Error stopped() {
  return Error{.code = Errc::cancelled, .text = "the DPU client was shut down"};
}
}  // namespace

struct Client::Core : std::enable_shared_from_this<Core> {
  Core(asio::io_context& context, std::unique_ptr<Connector> c, Options o)
      : io(context),
        connector(std::move(c)),
        options(o),
        backoff(o.backoff),
        pause(context),
        since(MonoClock::now()) {}

  asio::io_context& io;
  std::unique_ptr<Connector> connector;
  Options options;
  Probe probe;
  SessionMachine machine;
  Backoff backoff;
  Timer pause;  // what the session's coroutine waits on; cancelled when something happens
  std::vector<std::shared_ptr<Connection>> channels;
  std::set<Timer*> watchers;  // callers of wait_generation and wait_lost
  std::uint64_t generation = 0;
  std::uint64_t next_id = 1;
  bool stopping = false;
  bool lost = false;  // a channel of the present attempt closed
  Error trouble{.code = Errc::unreachable, .text = "not connected yet"};
  MonoClock::time_point since;  // when the trouble began
  Counters past;

  static Task<void> run(std::shared_ptr<Core> self);
  Task<SessionEvent> connect();
  Task<SessionEvent> ask();
  Task<SessionEvent> serve();
  Task<SessionEvent> rest();
  Task<Result<Answer>> call(std::size_t channel, std::string method, Json params, Deadline deadline,
                            Keep keep);
  void drop_channels(const Error& why);
  void failed(Error why);
  void wake();
  [[nodiscard]] std::string story() const;
};

void Client::Core::wake() {
  for (auto* watcher : watchers) watcher->cancel();
}

void Client::Core::failed(Error why) {
  trouble = std::move(why);
}

std::string Client::Core::story() const {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(MonoClock::now() - since).count();
  return connector->endpoint() + " is not connected since " + std::to_string(seconds) + " s: " + trouble.text;
}

void Client::Core::drop_channels(const Error& why) {
  auto old = std::move(channels);
  channels.clear();
  for (auto& channel : old) {
    next_id = std::max(next_id, channel->next_id());
    channel->close(why);
    add(past, channel->counters());
  }
}

Task<SessionEvent> Client::Core::connect() {
  lost = false;
  for (std::size_t i = 0; i < options.channels; ++i) {
    auto stream = co_await connector->connect(Deadline::after(options.connect));
    if (stopping) co_return SessionEvent::stop;
    if (!stream) {
      failed(std::move(stream.error()));
      co_return SessionEvent::connect_failed;
    }
    auto connection_options = options.connection;
    // Ids go on over sessions and differ between channels: an answer of another connection never fits by
    // luck.
    connection_options.multiplexer.first_id = next_id + i * 1'000'000;
    auto connection = std::make_shared<Connection>(io, std::move(*stream), connection_options);
    channels.push_back(connection);
    // Not owning: every channel is closed, and has told so, before this object goes (shutdown()).
    connection->start([this]() {
      lost = true;
      pause.cancel();
    });
  }
  co_return SessionEvent::connected;
}

Task<SessionEvent> Client::Core::ask() {
  auto self = shared_from_this();
  Ask ask = [self](std::size_t channel, std::string method, Deadline deadline) {
    return self->call(channel, std::move(method), nullptr, deadline, nullptr);
  };
  auto asked = co_await probe(std::move(ask), Deadline::after(options.probe));
  if (stopping) co_return SessionEvent::stop;
  if (!asked) {
    failed(std::move(asked.error()));
    co_return SessionEvent::probe_failed;
  }
  if (!lost) co_return SessionEvent::probed;
  failed(Error{.code = Errc::unreachable, .text = "the connection was lost while the DPU was being asked"});
  co_return SessionEvent::lost;
}

Task<SessionEvent> Client::Core::serve() {
  ++generation;
  backoff.reset();
  log::info("DPU session is up", {{"peer", connector->endpoint()}, {"generation", generation}});
  wake();
  while (!lost && !stopping) {
    pause.expires_at(MonoClock::time_point::max());
    co_await pause.async_wait(kAwait);
  }
  if (stopping) co_return SessionEvent::stop;
  since = MonoClock::now();
  for (const auto& channel : channels)
    if (!channel->open()) failed(channel->why_closed());
  log::warning("DPU session is lost", {{"peer", connector->endpoint()}, {"why", trouble.text}});
  co_return SessionEvent::lost;
}

Task<SessionEvent> Client::Core::rest() {
  drop_channels(trouble);
  wake();
  pause.expires_after(backoff.next());
  co_await pause.async_wait(kAwait);
  if (stopping) co_return SessionEvent::stop;
  co_return SessionEvent::rested;
}

Task<void> Client::Core::run(std::shared_ptr<Core> self) {
  auto action = self->machine.on(SessionEvent::start);
  while (action != SessionAction::stop) {
    auto event = SessionEvent::stop;
    if (self->stopping) {
      // fall through with stop
    } else if (action == SessionAction::connect) {
      event = co_await self->connect();
    } else if (action == SessionAction::probe) {
      event = co_await self->ask();
    } else if (action == SessionAction::serve) {
      event = co_await self->serve();
    } else if (action == SessionAction::rest) {
      event = co_await self->rest();
    }
    action = self->machine.on(event);
  }
  self->drop_channels(stopped());
  self->wake();
}

Task<Result<Answer>> Client::Core::call(std::size_t channel, std::string method, Json params,
                                        Deadline deadline, Keep keep) {
  if (channels.empty()) co_return fail(Errc::unreachable, story());
  // A peer that takes one request at a time has one channel for everything. A copy: the channel list may
  // change while we wait.
  auto connection = channels[std::min(channel, channels.size() - 1)];
  co_return co_await connection->call(std::move(method), std::move(params), deadline, std::move(keep));
}

Client::Client(asio::io_context& io, std::unique_ptr<Connector> connector, Options options)
    : core_(std::make_shared<Core>(io, std::move(connector), options)) {}

Client::~Client() {
  shutdown();
}

void Client::start(Probe probe) {
  core_->probe = std::move(probe);
  auto core = core_;
  asio::co_spawn(
      core_->io, [core]() { return Core::run(core); }, asio::detached);
}

Task<Result<Answer>> Client::call(std::size_t channel, std::string method, Json params, Deadline deadline,
                                  Keep keep) {
  auto core = core_;
  if (core->stopping) co_return fail(stopped());
  if (core->machine.state() != SessionState::up || core->lost)
    co_return fail(Errc::unreachable, core->story());
  co_return co_await core->call(channel, std::move(method), std::move(params), deadline, std::move(keep));
}

std::uint64_t Client::generation() const {
  return core_->generation;
}
bool Client::connected() const {
  return core_->machine.state() == SessionState::up && !core_->lost;
}
SessionState Client::state() const {
  return core_->machine.state();
}
const std::string& Client::endpoint() const {
  return core_->connector->endpoint();
}

std::string Client::trouble() const {
  if (connected()) return {};
  if (core_->stopping) return stopped().text;
  return core_->story();
}

Counters Client::counters() const {
  auto sum = core_->past;
  for (const auto& channel : core_->channels) add(sum, channel->counters());
  return sum;
}

namespace {
// Takes a watcher's timer out again, however its coroutine ends.
struct Watching {
  std::set<Timer*>& watchers;
  Timer& timer;
  Watching(std::set<Timer*>& all, Timer& one) : watchers(all), timer(one) { watchers.insert(&timer); }
  ~Watching() { watchers.erase(&timer); }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;
};
}  // namespace

Task<Result<std::uint64_t>> Client::wait_generation(std::uint64_t seen, Deadline deadline) {
  auto core = core_;
  while (true) {
    if (core->stopping) co_return fail(stopped());
    bool up = core->machine.state() == SessionState::up && !core->lost;
    if (up && core->generation > seen) co_return core->generation;
    if (deadline.passed()) {
      auto text = up ? "no new session with " + core->connector->endpoint() : core->story();
      co_return fail(Errc::timeout, text);
    }
    Timer timer(core->io, deadline.at());
    Watching watching(core->watchers, timer);
    co_await timer.async_wait(kAwait);
    // A cancelled coroutine must not wait again: its next await would throw.
    auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none)
      co_return fail(Errc::cancelled, "given up by the caller");
  }
}

Task<Result<void>> Client::wait_lost(Deadline deadline) {
  auto core = core_;
  auto began = core->generation;
  while (true) {
    if (core->stopping) co_return fail(stopped());
    bool up = core->machine.state() == SessionState::up && !core->lost;
    if (!up || core->generation != began) co_return Result<void>();
    if (deadline.passed()) co_return fail(Errc::timeout, "the session is still up");
    Timer timer(core->io, deadline.at());
    Watching watching(core->watchers, timer);
    co_await timer.async_wait(kAwait);
    // A cancelled coroutine must not wait again: its next await would throw.
    auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none)
      co_return fail(Errc::cancelled, "given up by the caller");
  }
}

void Client::shutdown() {
  if (core_->stopping) return;
  core_->stopping = true;
  core_->pause.cancel();
  core_->drop_channels(stopped());
  core_->wake();
}

}  // namespace vnvme::rpc
