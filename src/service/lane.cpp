#include "service/lane.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace vnvme::service {
namespace asio = boost::asio;

void Lane::Hold::release() {
  auto state = std::move(state_);
  if (!state) return;
  state->held = false;
  state->what.clear();
  if (state->waiters.empty()) return;
  // Handed over here and now, so that a newcomer cannot overtake those who wait.
  Waiter* next = state->waiters.front();
  state->waiters.pop_front();
  state->held = true;
  next->granted = true;
  next->timer.cancel();
}

Task<Result<Lane::Hold>> Lane::acquire(std::string what, Deadline deadline) {
  auto state = state_;
  if (state->held || !state->waiters.empty()) {
    auto executor = co_await asio::this_coro::executor;
    Waiter me(executor);
    me.timer.expires_at(deadline.at());
    state->waiters.push_back(&me);
    // However this frame ends, also by being destroyed, nobody may wake it any more.
    struct Leave {
      State& state;
      Waiter& me;
      ~Leave() { std::erase(state.waiters, &me); }
    } leave{*state, me};
    boost::system::error_code ignored;
    co_await me.timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!me.granted) {
      auto seconds =
          std::chrono::duration_cast<std::chrono::seconds>(MonoClock::now() - state->since).count();
      co_return fail(Errc::busy, name_ + " is busy: " + (state->what.empty() ? "an operation" : state->what) +
                                     " has it since " + std::to_string(seconds) + " s; try again later");
    }
  }
  co_return take(std::move(state), std::move(what));
}

Lane::Hold Lane::take(std::shared_ptr<State> state, std::string what) {
  state->held = true;
  state->what = std::move(what);
  state->since = MonoClock::now();
  return Hold(std::move(state));
}

std::optional<Lane::Hold> Lane::try_acquire(std::string what) {
  if (!idle()) return std::nullopt;
  return take(state_, std::move(what));
}

std::optional<Lane::Busy> Lane::holder() const {
  if (!state_->held) return std::nullopt;
  return Busy{state_->what, state_->since};
}

Task<Result<Lane::Hold>> Guards::acquire(std::string name, std::string what, Deadline deadline) {
  auto& slot = lanes_[name];
  if (!slot) slot = std::make_shared<Lane>(name);
  auto lane = slot;
  co_return co_await lane->acquire(std::move(what), deadline);
}

std::optional<Lane::Hold> Guards::try_acquire(const std::string& name, std::string what) {
  auto& slot = lanes_[name];
  if (!slot) slot = std::make_shared<Lane>(name);
  return slot->try_acquire(std::move(what));
}

void Guards::prune() {
  std::erase_if(lanes_,
                [](const auto& entry) { return entry.second.use_count() == 1 && entry.second->idle(); });
}

std::map<std::string, Lane::Busy> Guards::holders() const {
  std::map<std::string, Lane::Busy> out;
  for (const auto& [name, lane] : lanes_)
    if (auto busy = lane->holder()) out.emplace(name, *busy);
  return out;
}

Task<void> Signal::wait(Deadline deadline) {
  auto timers = timers_;
  auto executor = co_await asio::this_coro::executor;
  Timer timer(executor);
  timer.expires_at(deadline.at());
  timers->push_back(&timer);
  struct Leave {
    std::deque<Timer*>& timers;
    Timer* mine;
    ~Leave() { std::erase(timers, mine); }
  } leave{*timers, &timer};
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void Signal::notify() {
  ++count_;
  for (Timer* timer : *timers_) timer->cancel();
}

Task<void> pause_for(MonoClock::duration d) {
  auto executor = co_await asio::this_coro::executor;
  Timer timer(executor);
  timer.expires_after(d);
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace vnvme::service
