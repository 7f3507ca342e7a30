// One operation at a time, in order of arrival, with a deadline for waiting
// and a name for whoever holds it (R2). Used as the lane of a pool, of a
// DPU's functions, and as the guard of one volume or SR.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::service {

class Lane {
  struct Waiter {
    explicit Waiter(const boost::asio::any_io_executor& executor) : timer(executor) {}
    Timer timer;
    bool granted = false;
  };
  struct State {
    std::string what;  // of the holder; empty when free
    MonoClock::time_point since{};
    bool held = false;
    std::deque<Waiter*> waiters;  // each stands in the frame of its own acquire()
  };

 public:
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&&) noexcept = default;
    Hold& operator=(Hold&& other) noexcept {
      release();
      state_ = std::move(other.state_);
      return *this;
    }
    ~Hold() { release(); }
    void release();

   private:
    friend class Lane;
    explicit Hold(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };
  struct Busy {
    std::string what;
    MonoClock::time_point since;
  };

  explicit Lane(std::string name) : name_(std::move(name)), state_(std::make_shared<State>()) {}

  // Errc::busy when it was not free before the deadline: the text names the holder and since when.
  Task<Result<Hold>> acquire(std::string what, Deadline deadline);
  // Only when it is free this very moment.
  std::optional<Hold> try_acquire(std::string what);
  [[nodiscard]] std::optional<Busy> holder() const;
  [[nodiscard]] bool idle() const { return !state_->held && state_->waiters.empty(); }

 private:
  static Hold take(std::shared_ptr<State> state, std::string what);

  std::string name_;
  // Shared with the Holds: at shutdown coroutine frames that hold a lane may be destroyed after the lane.
  std::shared_ptr<State> state_;
};

// A lane for each name that is in use right now.
class Guards {
 public:
  Task<Result<Lane::Hold>> acquire(std::string name, std::string what, Deadline deadline);
  std::optional<Lane::Hold> try_acquire(const std::string& name, std::string what);
  // Forgets the names that nobody holds or waits for.
  void prune();
  [[nodiscard]] std::map<std::string, Lane::Busy> holders() const;

 private:
  std::map<std::string, std::shared_ptr<Lane>>
      lanes_;  // shared with acquire() calls that wait while prune() runs
};

// Wakes everybody who waits; they look again for themselves.
class Signal {
 public:
  Task<void> wait(Deadline deadline);
  void notify();
  // How often it was notified: whoever works before it waits compares, and misses nothing.
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
  // Shared with the frames that wait, for the reason that Lane has.
  std::shared_ptr<std::deque<Timer*>> timers_ = std::make_shared<std::deque<Timer*>>();
};

// Suspends for that long.
Task<void> pause_for(MonoClock::duration d);

}  // namespace vnvme::service
