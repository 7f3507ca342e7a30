#include "xapi/watcher.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/log.hpp"

namespace vnvme::xapi {
namespace {
namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

void append(std::vector<Change>& to, std::vector<Change> more) {
  for (auto& one : more) to.push_back(std::move(one));
}
}  // namespace

Watcher::Watcher(asio::io_context& io, Xapi& xapi, Options options)
    : io_(io), xapi_(xapi), options_(std::move(options)), backoff_(options_.backoff) {}

void Watcher::doubt(const std::string& why) {
  if (!cursor_.empty()) log::info("XAPI's database is read anew", {{"why", why}});
  cursor_ = Cursor();
}

// False: the deadline came first, or the caller gave up.
Task<bool> Watcher::rest(MonoClock::duration time, Deadline deadline) {
  const bool whole = deadline.left() > time;
  Timer timer(io_, whole ? MonoClock::now() + time : deadline.at());
  auto [why] = co_await timer.async_wait(kAwait);
  co_return whole && !why;
}

Task<Result<EventBatch>> Watcher::ask(bool whole, MonoClock::duration wait, Deadline deadline) {
  auto from = whole ? Cursor() : cursor_;
  auto classes = options_.classes;
  co_return co_await xapi_.events(std::move(classes), std::move(from), wait,
                                  deadline.capped(wait + options_.answer));
}

Task<Result<void>> Watcher::read_all(Delta& delta, Deadline deadline) {
  // XAPI answers at once: there is always a pool and a host. The wait is for a database that lost both.
  auto batch = co_await ask(true, std::chrono::seconds(1), deadline);
  if (!batch) co_return fail(std::move(batch.error()));
  ++readings_;
  refresh_at_ = MonoClock::now() + options_.refresh;
  cursor_ = batch->cursor;
  delta.whole = true;
  auto counts = batch->counts;
  append(delta.changes, mirror_.replace(std::move(*batch)));
  for (const auto& [key, why] : mirror_.picture().unreadable)
    log::warning("a record of XAPI cannot be read", {{"ref", key.second.str()}, {"why", why}});
  // The database may have changed while XAPI wrote it down: the next batch tells.
  auto why = mirror_.disagreement(counts);
  if (!why.empty()) log::debug("XAPI's database moved while it was read", {{"why", why}});
  co_return Result<void>();
}

// The counts did not fit. That is normal when XAPI's database changed while it made the batch; then the very
// next one fits. If not, a deletion was forgotten.
Task<Result<void>> Watcher::confirm(Delta& delta, EventBatch batch, Deadline deadline) {
  auto counts = batch.counts;
  append(delta.changes, mirror_.fold(std::move(batch)));
  auto why = mirror_.disagreement(counts);
  if (why.empty()) co_return Result<void>();
  auto second = co_await ask(false, MonoClock::duration::zero(), deadline);
  if (!second) co_return fail(std::move(second.error()));
  cursor_ = second->cursor;
  counts = second->counts;
  append(delta.changes, mirror_.fold(std::move(*second)));
  why = mirror_.disagreement(counts);
  if (why.empty()) co_return Result<void>();
  doubt(why);
  co_return co_await read_all(delta, deadline);
}

Task<Result<void>> Watcher::follow(Delta& delta, Deadline deadline) {
  while (delta.changes.empty() && !delta.whole) {
    // A cancelled coroutine must not wait again: its next await would throw.
    auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none)
      co_return fail(Errc::cancelled, "given up by the caller");
    // An answer that is cut off by our own deadline would make the token doubtful: rather do not ask.
    if (deadline.left() < options_.margin) {
      co_await rest(deadline.left(), deadline);
      co_return Result<void>();
    }
    if (MonoClock::now() >= refresh_at_) co_return co_await read_all(delta, deadline);
    auto began = MonoClock::now();
    auto spare = std::max(options_.margin / 2, deadline.left() / 4);
    auto wait = std::min({options_.wait, deadline.left() - spare, refresh_at_ - began});
    auto batch = co_await ask(false, wait, deadline);
    if (!batch) co_return fail(std::move(batch.error()));
    cursor_ = batch->cursor;
    auto done = co_await confirm(delta, std::move(*batch), deadline);
    if (!done) co_return done;
    // Events without news, or a XAPI that does not wait: never ask in a circle without a pause.
    bool quick = MonoClock::now() - began < options_.breath;
    if (delta.changes.empty() && quick) co_await rest(options_.breath, deadline);
  }
  co_return Result<void>();
}

Task<Result<Delta>> Watcher::next(Deadline deadline) {
  if (MonoClock::now() < retry_at_) {
    auto rested = co_await rest(retry_at_ - MonoClock::now(), deadline);
    if (!rested) co_return fail(Errc::timeout, "XAPI was not asked again yet. " + xapi_.trouble());
  }
  Delta delta;
  Result<void> done;
  if (cursor_.empty())
    done = co_await read_all(delta, deadline);
  else
    done = co_await follow(delta, deadline);
  if (!done && done.error().code == Errc::conflict && !delta.whole) {
    // XAPI is there, only our place in its history is not.
    doubt(done.error().text);
    done = co_await read_all(delta, deadline);
  }
  if (done) {
    backoff_.reset();
    co_return delta;
  }
  doubt(done.error().text);
  retry_at_ = MonoClock::now() + backoff_.next();
  // What was learned before the failure is in the picture already: its changes must be told.
  if (!delta.changes.empty()) co_return delta;
  co_return fail(std::move(done.error()));
}

}  // namespace vnvme::xapi
