#include "rpc/asio/lanes.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>

namespace vnvme::rpc {
namespace {
constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr std::size_t kMaxWaiters = 256;

struct Waiter {
  Timer timer;
  bool granted = false;
};

struct Lane {
  std::string holder;
  MonoClock::time_point since;
  std::deque<Waiter*> waiters;
};

std::string seconds_since(MonoClock::time_point since) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(MonoClock::now() - since).count();
  return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
}

// A lane is in the map while it is held or waited for: whoever does may keep its iterator.
using Held = std::map<std::string, Lane>;
}  // namespace

struct Lanes::State {
  Held held;

  void release(Held::iterator lane) {
    if (lane->second.waiters.empty()) {
      held.erase(lane);
      return;
    }
    // Handed over, never free in between: nobody can overtake the first one.
    auto* next = lane->second.waiters.front();
    lane->second.waiters.pop_front();
    next->granted = true;
    next->timer.cancel();
  }
};

class Lanes::Hold {
 public:
  Hold(std::shared_ptr<State> state, Held::iterator lane) : state_(std::move(state)), lane_(lane) {}
  ~Hold() { state_->release(lane_); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  std::shared_ptr<State> state_;
  Held::iterator lane_;
};

Lanes::Lanes(boost::asio::io_context& io) : io_(io), state_(std::make_shared<State>()) {}

bool Lanes::held(const std::string& lane) const {
  return state_->held.contains(lane);
}

Task<Result<Keep>> Lanes::acquire(std::string name, std::string what, Deadline deadline) {
  auto state = state_;
  auto [lane, free] = state->held.try_emplace(name);
  if (!free) {
    auto busy = [&lane = lane->second]() {
      return fail(Errc::busy, "\"" + lane.holder + "\" has been under way for " + seconds_since(lane.since));
    };
    auto& queue = lane->second.waiters;
    if (queue.size() >= kMaxWaiters || deadline.passed()) co_return busy();
    Waiter waiter{Timer(io_, deadline.at())};
    queue.push_back(&waiter);
    // Takes the waiter out of the queue, also when this coroutine is destroyed while it waits.
    struct Leave {
      std::deque<Waiter*>& queue;
      Waiter& waiter;
      ~Leave() { std::erase(queue, &waiter); }
    } leave{queue, waiter};
    co_await waiter.timer.async_wait(kAwait);
    if (!waiter.granted) co_return busy();
  }
  lane->second.holder = std::move(what);
  lane->second.since = MonoClock::now();
  Keep keep = std::make_shared<Hold>(state, lane);
  co_return keep;
}

}  // namespace vnvme::rpc
