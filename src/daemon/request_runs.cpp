#include "daemon/request_runs.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/json.hpp"
#include "core/log.hpp"

namespace vnvme::daemon {
namespace {

std::int64_t ms_since(MonoClock::time_point began) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(MonoClock::now() - began).count();
}

// What an error object says to people.
std::string reason_in(const std::string& body) {
  auto parsed = parse_json(body);
  const Json* backtrace = parsed ? member(*parsed, "backtrace") : nullptr;
  auto text = backtrace != nullptr ? text_of(*backtrace, "error") : std::nullopt;
  return text.value_or("");
}

void log_run(const Run& run, std::string_view outcome, const std::string& why) {
  // one line, of which the reason is there only when there is one
  if (outcome == "ok") {
    log::info("request", {{"id", run.call.id.str()},
                          {"method", run.call.method},
                          {"sr_type", run.call.sr_type},
                          {"object", object_of(run.call.body)},
                          {"ms", ms_since(run.began)},
                          {"outcome", outcome}});
    return;
  }
  log::warning("request", {{"id", run.call.id.str()},
                           {"method", run.call.method},
                           {"sr_type", run.call.sr_type},
                           {"object", object_of(run.call.body)},
                           {"ms", ms_since(run.began)},
                           {"outcome", outcome},
                           {"why", why}});
}

}  // namespace

std::string object_of(std::string_view body) {
  body = body.substr(0, 64u << 10);
  for (std::string_view key : {"\"uri\":", "\"key\":", "\"sr\":", "\"uuid\":"}) {
    auto at = body.find(key);
    if (at == std::string_view::npos) continue;
    auto value = body.substr(at + key.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (!value.starts_with('"')) continue;
    value.remove_prefix(1);
    return std::string(value.substr(0, std::min<std::size_t>(value.find('"'), 200)));
  }
  return "";
}

Run::Run(Executor executor, smapi::CallFrame frame)
    : call(std::move(frame)), began(MonoClock::now()), changed(std::move(executor)) {}

bool Run::same_call(const smapi::CallFrame& other) const {
  return call.method == other.method && call.sr_type == other.sr_type && call.body == other.body;
}

bool Run::needs_word() const {
  return answer && answer->type == frame::Type::result && (answer->flags & frame::kNeedsWord) != 0;
}

RequestRuns::RequestRuns(Executor executor, smapi::Handler& handler, std::size_t most)
    : executor_(executor), handler_(handler), most_(most), changed_(executor) {}

Result<std::shared_ptr<Run>> RequestRuns::join(smapi::CallFrame call) {
  if (auto there = runs_.find(call.id); there != runs_.end()) {
    if (!there->second->same_call(call))
      return fail(Errc::conflict, "request id " + call.id.str() + " is in use by another call (" +
                                      there->second->call.method +
                                      "); a front-end must choose a new id for each call");
    ++there->second->clients;
    return there->second;
  }
  if (runs_.size() >= most_)
    return fail(Errc::busy, std::to_string(runs_.size()) +
                                " requests run already; see `vnvme status` for what holds them");
  auto run = std::make_shared<Run>(executor_, std::move(call));
  run->clients = 1;
  runs_.emplace(run->call.id, run);
  body_bytes_ += run->call.body.size();
  boost::asio::co_spawn(
      executor_, [this, run]() -> Task<void> { co_await execute(run); }, boost::asio::detached);
  return run;
}

Task<void> RequestRuns::execute(std::shared_ptr<Run> run) {
  auto answer = co_await smapi::dispatch(handler_, run->call);
  run->answer = std::move(answer);
  bool good = run->answer->type == frame::Type::result;
  if (!run->needs_word()) log_run(*run, good ? "ok" : "error", good ? "" : reason_in(run->answer->body));
  run->changed.notify();
  retire_when_over(run);
}

void RequestRuns::leave(const std::shared_ptr<Run>& run) {
  --run->clients;
  retire_when_over(run);
}

// Nobody waits for it any more, and nothing of it runs.
void RequestRuns::retire_when_over(const std::shared_ptr<Run>& run) {
  if (run->clients > 0 || !run->answer || (run->word_said && !run->verdict)) return;
  runs_.erase(run->call.id);
  body_bytes_ -= run->call.body.size();
  if (run->needs_word()) {
    if (!run->word_said) {
      handler_.abandoned(run->call.id);
      log_run(*run, "abandoned", "the front-end left without saying that it prints");
    } else {
      bool kept = run->verdict->type == frame::Type::print;
      log_run(*run, kept ? "ok" : "error", kept ? "" : reason_in(run->verdict->body));
    }
  }
  changed_.notify();
}

Task<void> RequestRuns::confirm(std::shared_ptr<Run> run) {
  auto verdict = co_await smapi::confirm(handler_, run->call, run->answer->body);
  run->verdict = std::move(verdict);
  run->changed.notify();
  retire_when_over(run);
}

// Not within the connection that said it: a commit that hangs must not keep a connection for ever.
Task<std::optional<smapi::Answer>> RequestRuns::keep_word(std::shared_ptr<Run> run, Deadline deadline) {
  if (!run->word_said) {
    run->word_said = true;
    boost::asio::co_spawn(
        executor_, [this, run]() -> Task<void> { co_await confirm(run); }, boost::asio::detached);
  }
  while (!run->verdict && !deadline.passed()) co_await run->changed.wait(deadline);
  co_return run->verdict;
}

Task<bool> RequestRuns::drained(Deadline deadline) {
  while (!runs_.empty()) {
    if (deadline.passed()) co_return false;
    co_await changed_.wait(deadline);
  }
  co_return true;
}

}  // namespace vnvme::daemon
