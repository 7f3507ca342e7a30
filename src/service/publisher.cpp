#include "service/publisher.hpp"

#include "core/log.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kStep = seconds(10);
constexpr auto kCalm = seconds(1);   // between two writes of one object
constexpr auto kAgain = seconds(2);  // after something did not work
constexpr auto kIdle = seconds(60);
constexpr auto kPeace = seconds(600);  // without a difference, and an object is forgotten
constexpr unsigned kMostUndone = 8;    // 256 s between two writes

}  // namespace

Task<void> Publisher::run() {
  if (core_.ports.xapi == nullptr || core_.ports.watch == nullptr) co_return;
  while (!core_.stopping()) {
    const std::uint64_t asked = toolstack_.looked.count();
    bool clean = true;
    if (core_.ports.watch->current()) clean = co_await round();
    // What changes within a second is compared once. Also woken by the end of the daemon.
    const auto calm = Deadline::after(kCalm);
    while (!core_.stopping() && !calm.passed()) co_await core_.released.wait(calm);
    if (core_.stopping() || toolstack_.looked.count() != asked) continue;
    co_await toolstack_.looked.wait(Deadline::after(clean ? kIdle : kAgain));
  }
}

Task<bool> Publisher::round() {
  auto plan = model::plan_publications(core_.ports.watch->picture(), core_.world, toolstack_.shown());
  std::set<Key> differing;
  for (const model::Publication& one : plan) differing.insert({one.cls, one.uuid});
  auto now = MonoClock::now();
  std::erase_if(written_,
                [&](const auto& w) { return !differing.contains(w.first) && now - w.second.last > kPeace; });
  bool clean = true;
  for (model::Publication& one : plan) {
    if (core_.stopping()) co_return false;
    bool done = co_await write(one);
    clean = clean && done;
  }
  co_return clean;
}

Task<bool> Publisher::write(model::Publication what) {
  const Key key{what.cls, what.uuid};
  Written& known = written_[key];
  const auto now = MonoClock::now();
  const bool first = known.last == MonoClock::time_point{};
  // The very same was written already: somebody takes it away again.
  const bool again = known.whole && known.wanted == what.wanted;
  const auto pause = again ? kCalm * (1 << std::min(known.undone, kMostUndone)) : kCalm;
  if (!first && now - known.last < pause) co_return false;
  known.undone = again ? known.undone + 1 : 0;
  known.wanted = what.wanted;
  known.last = now;
  known.whole = false;
  auto done = co_await write_keys(what);
  Written& mine = written_[key];
  mine.whole = done.has_value();
  if (!done && done.error().code == Errc::not_found) co_return true;  // the object is gone
  if (!done)
    log::debug("what people see in XAPI could not be brought up to date",
               {{"object", key.second}, {"error", done.error().describe()}});
  co_return done.has_value();
}

Task<Result<void>> Publisher::write_keys(model::Publication what) {
  xapi::Xapi& xapi = *core_.ports.xapi;
  for (auto& [key, value] : what.set) {
    auto done = co_await xapi.set_key(what.cls, what.ref, xapi::Field::other_config, key, value,
                                      Deadline::after(kStep));
    if (!done) co_return done;
  }
  for (std::string& key : what.remove) {
    auto done =
        co_await xapi.remove_key(what.cls, what.ref, xapi::Field::other_config, key, Deadline::after(kStep));
    if (!done) co_return done;
  }
  co_return Result<void>{};
}

}  // namespace vnvme::service
