// Requests whose answer is overdue: when to ask whether the peer still lives,
// when to call it dead, when to stop waiting for one answer. Pure: time is
// passed in.
//
// A deadline that was missed proves nothing: the request may still be at work,
// or its answer may have got lost. So the peer is asked something cheap on the
// same connection. Silence to that too means a dead connection. A peer that
// talks keeps what the request holds (its lane) until it had as long again as
// it was planned for; what it does after that comes from no call that we know.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "vnvme/time.hpp"

namespace vnvme::rpc {

class Overdue {
 public:
  struct Options {
    MonoClock::duration probe = std::chrono::seconds(10);  // for the answer to the cheap question
    // Bounds of the wait after a deadline: no short call is planned for more than the lower one, and a call
    // that may last for hours must not shut its lane for hours.
    MonoClock::duration least = std::chrono::seconds(10);
    MonoClock::duration most = std::chrono::seconds(600);
  };
  explicit Overdue(Options options) : options_(options) {}

  // Nobody waits for that answer any more. `planned` is how long the call was to take, `deadline` its end.
  void add(std::uint64_t id, MonoClock::time_point deadline, MonoClock::duration planned);
  // Its answer came after all.
  void answered(std::uint64_t id) { waits_.erase(id); }
  // Any answer of the peer's: it lives.
  void heard(MonoClock::time_point now);
  void clear();

  struct Verdict {
    bool ask = false;   // send the cheap question now
    bool dead = false;  // close the connection
    std::vector<std::uint64_t> given_up;
  };
  // What is to be done now; each thing is said once.
  Verdict look(MonoClock::time_point now);
  // When to look again; nothing while nothing is overdue.
  [[nodiscard]] std::optional<MonoClock::time_point> next() const;
  [[nodiscard]] std::size_t size() const { return waits_.size(); }

 private:
  struct Wait {
    MonoClock::time_point from;  // the deadline: before it the peer owes nothing
    MonoClock::time_point until;
    bool alive = false;  // the peer was heard after `from`
  };
  Options options_;
  std::map<std::uint64_t, Wait> waits_;
  std::optional<MonoClock::time_point> asked_;
};

}  // namespace vnvme::rpc
