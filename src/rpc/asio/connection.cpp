#include "rpc/asio/connection.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/json.hpp"
#include "core/log.hpp"

namespace vnvme::rpc {
namespace {
namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
}  // namespace

// Takes the waiter out again however the caller's coroutine ends, be it that its frame is destroyed.
class Connection::Registration {
 public:
  Registration(Connection& connection, std::uint64_t id, Waiter& waiter, Deadline deadline)
      : connection_(connection), id_(id), deadline_(deadline), planned_(deadline.left()) {
    connection_.waiters_[id] = &waiter;
  }
  ~Registration() {
    connection_.waiters_.erase(id_);
    connection_.multiplexer_.abandon(id_, Error{.code = Errc::cancelled, .text = "the caller went away"});
    connection_.given_up(id_, deadline_, planned_);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  Connection& connection_;
  std::uint64_t id_;
  Deadline deadline_;
  MonoClock::duration planned_;
};

Connection::Connection(asio::io_context& io, std::unique_ptr<Stream> stream, Options options)
    : io_(io),
      stream_(std::move(stream)),
      options_(options),
      multiplexer_(options.multiplexer),
      scanner_(options.scan),
      overdue_(options.overdue),
      writer_(io),
      overdue_timer_(io) {}

void Connection::start(std::function<void()> on_closed) {
  on_closed_ = std::move(on_closed);
  auto self = shared_from_this();
  asio::co_spawn(
      io_, [self]() { return read_loop(self); }, asio::detached);
  asio::co_spawn(
      io_, [self]() { return write_loop(self); }, asio::detached);
  asio::co_spawn(
      io_, [self]() { return overdue_loop(self); }, asio::detached);
}

Task<Result<Answer>> Connection::call(std::string method, Json params, Deadline deadline, Keep keep) {
  auto self = shared_from_this();
  if (!open_) {
    Error why = why_closed_;
    why.outcome = Outcome::not_done;
    co_return fail(std::move(why));
  }
  if (deadline.passed()) co_return fail(Errc::timeout, "the deadline passed before it could be sent");
  auto id = multiplexer_.submit(method, params, deadline.at());
  if (!id) co_return fail(std::move(id.error()));
  Waiter waiter{Timer(io_, deadline.at()), std::nullopt};
  if (keep) kept_[*id] = std::move(keep);
  Registration registration(*this, *id, waiter, deadline);
  writer_.cancel();
  co_await waiter.timer.async_wait(kAwait);
  if (!waiter.answer && deadline.passed()) finish_all(multiplexer_.expire(MonoClock::now()));
  if (!waiter.answer) {
    auto finished =
        multiplexer_.abandon(*id, Error{.code = Errc::cancelled, .text = "given up by the caller"});
    if (finished) finish(std::move(*finished));
  }
  if (!waiter.answer) co_return fail(Errc::internal, "a request without an end", Outcome::unknown);
  co_return std::move(*waiter.answer);
}

void Connection::finish(Finished finished) {
  if (!multiplexer_.is_abandoned(finished.id)) kept_.erase(finished.id);
  auto waiter = waiters_.find(finished.id);
  if (waiter == waiters_.end()) {
    multiplexer_.forget(finished.id);  // a question of our own that was not answered
    return;
  }
  waiter->second->answer = std::move(finished.answer);
  waiter->second->timer.cancel();
}

void Connection::finish_all(std::vector<Finished> all) {
  for (auto& finished : all) finish(std::move(finished));
}

// The caller has gone. What the request holds is let go of at once when the peer has nothing to do with it.
void Connection::given_up(std::uint64_t id, Deadline deadline, MonoClock::duration planned) {
  if (!open_ || !multiplexer_.is_abandoned(id)) {
    kept_.erase(id);
    return;
  }
  overdue_.add(id, deadline.at(), planned);
  overdue_timer_.cancel();
}

void Connection::judge_overdue() {
  auto verdict = overdue_.look(MonoClock::now());
  for (auto id : verdict.given_up) {
    log::warning("the answer to request " + std::to_string(id) + " never came");
    multiplexer_.forget(id);
    kept_.erase(id);
    writer_.cancel();  // there is room for one more in flight
  }
  if (verdict.dead)
    close(Error{.code = Errc::unreachable,
                .text = "the DPU missed a deadline, then did not even answer " + options_.probe});
  else if (multiplexer_.exhausted())
    close(Error{.code = Errc::unreachable, .text = "the DPU owes too many answers"});
  if (!verdict.ask || !open_) return;
  // Nobody waits for this answer: that one comes is what counts. Refused: as good as not answered.
  (void)multiplexer_.submit(options_.probe, nullptr, Deadline::after(options_.overdue.probe).at());
  writer_.cancel();
}

void Connection::close(Error why) {
  if (!open_) return;
  open_ = false;
  why_closed_ = std::move(why);
  stream_->close();
  writer_.cancel();
  overdue_timer_.cancel();
  overdue_.clear();
  finish_all(multiplexer_.close(why_closed_));
  kept_.clear();
  // The owner is told after our own state is whole.
  auto tell = std::move(on_closed_);
  on_closed_ = nullptr;
  if (tell) tell();
}

Result<void> Connection::take(std::string_view bytes) {
  scanner_.feed(bytes);
  while (true) {
    auto frame = scanner_.next();
    if (!frame) return fail(frame.error());
    if (!*frame) return {};
    std::uint64_t late = 0;
    auto finished = multiplexer_.answer(std::move(**frame), &late);
    if (!finished) return fail(finished.error());
    if (overdue_.size() > 0) overdue_timer_.cancel();  // this may clear a suspicion: look again
    overdue_.heard(MonoClock::now());
    if (late != 0) {
      overdue_.answered(late);
      kept_.erase(late);
      log::warning("the answer to request " + std::to_string(late) + " came after its deadline");
    }
    if (*finished) finish(std::move(**finished));
    writer_.cancel();  // there is room for one more in flight
  }
}

Task<void> Connection::read_loop(std::shared_ptr<Connection> self) {
  std::vector<char> buffer(64u << 10);
  while (self->open_) {
    auto n = co_await self->stream_->read_some(std::span<char>(buffer));
    if (!self->open_) co_return;
    if (!n) {
      self->close(std::move(n.error()));
      co_return;
    }
    auto taken = self->take(std::string_view(buffer.data(), *n));
    if (!taken) self->close(std::move(taken.error()));
  }
}

Task<void> Connection::write_loop(std::shared_ptr<Connection> self) {
  while (self->open_) {
    if (!self->multiplexer_.has_bytes()) {
      self->writer_.expires_at(MonoClock::time_point::max());
      co_await self->writer_.async_wait(kAwait);
      continue;
    }
    auto ready = co_await self->stream_->ready();
    if (!self->open_) co_return;
    if (!ready) {
      self->close(std::move(ready.error()));
      co_return;
    }
    auto bytes = self->multiplexer_.stage();
    if (bytes.empty()) {  // its caller went away meanwhile
      self->stream_->idle();
      continue;
    }
    auto n = co_await self->stream_->write_some(bytes);
    if (!self->open_) co_return;
    if (!n) {
      self->close(std::move(n.error()));
      co_return;
    }
    self->multiplexer_.wrote(*n);
  }
}

Task<void> Connection::overdue_loop(std::shared_ptr<Connection> self) {
  while (self->open_) {
    self->overdue_timer_.expires_at(self->overdue_.next().value_or(MonoClock::time_point::max()));
    co_await self->overdue_timer_.async_wait(kAwait);
    if (self->open_) self->judge_overdue();
  }
}

}  // namespace vnvme::rpc
