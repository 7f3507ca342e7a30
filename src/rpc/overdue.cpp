#include "rpc/overdue.hpp"

#include <algorithm>

namespace vnvme::rpc {

void Overdue::add(std::uint64_t id, MonoClock::time_point deadline, MonoClock::duration planned) {
  waits_[id] = Wait{deadline, deadline + std::clamp(planned, options_.least, options_.most)};
}

void Overdue::heard(MonoClock::time_point now) {
  asked_.reset();
  for (auto& [id, wait] : waits_) wait.alive = wait.alive || wait.from <= now;
}

void Overdue::clear() {
  waits_.clear();
  asked_.reset();
}

Overdue::Verdict Overdue::look(MonoClock::time_point now) {
  Verdict verdict;
  verdict.dead = asked_ && *asked_ + options_.probe <= now;
  if (verdict.dead) return verdict;
  for (auto it = waits_.begin(); it != waits_.end();) {
    auto& [id, wait] = *it;
    verdict.ask = verdict.ask || (!asked_ && !wait.alive && wait.from <= now);
    if (wait.alive && wait.until <= now) {
      verdict.given_up.push_back(id);
      it = waits_.erase(it);
    } else {
      ++it;
    }
  }
  if (verdict.ask) asked_ = now;
  return verdict;
}

std::optional<MonoClock::time_point> Overdue::next() const {
  std::optional<MonoClock::time_point> first;
  auto earlier = [&first](MonoClock::time_point at) { first = first ? std::min(*first, at) : at; };
  if (asked_) earlier(*asked_ + options_.probe);
  for (const auto& [id, wait] : waits_)
    if (wait.alive)
      earlier(wait.until);
    else if (!asked_)
      earlier(wait.from);
  return first;
}

}  // namespace vnvme::rpc
