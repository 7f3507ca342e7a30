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
  auto level = outcome == "ok" ? log::Level::info : log::Level::warning;
  if (why.empty()) {
    log::write(level, "request",
               {{"id", run.context.request.str()},
                {"method", run.context.method},
                {"sr_type", run.context.sr_type},
                {"object", run.object},
                {"ms", ms_since(run.began)},
                {"outcome", outcome}});
    return;
  }
  log::write(level, "request",
             {{"id", run.context.request.str()},
              {"method", run.context.method},
              {"sr_type", run.context.sr_type},
              {"object", run.object},
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

Run::Run(Executor executor, smapi::CallFrame call)
    : context{call.id, call.method, call.sr_type, call.deadline},
      began(MonoClock::now()),
      object(object_of(call.body)),
      body_size(call.body.size()),
      body_hash(std::hash<std::string>{}(call.body)),
      changed(std::move(executor)) {}

bool Run::same_call(const smapi::CallFrame& call) const {
  return context.method == call.method && context.sr_type == call.sr_type && body_size == call.body.size() &&
         body_hash == std::hash<std::string>{}(call.body);
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
                                      there->second->context.method +
                                      "); a front-end must choose a new id for each call");
    ++there->second->clients;
    return there->second;
  }
  if (runs_.size() >= most_)
    return fail(Errc::busy, std::to_string(runs_.size()) +
                                " requests run already; see `vnvme status` for what holds them");
  auto run = std::make_shared<Run>(executor_, call);
  run->clients = 1;
  runs_.emplace(call.id, run);
  boost::asio::co_spawn(
      executor_,
      [this, run, call = std::move(call)]() mutable -> Task<void> { co_await execute(run, std::move(call)); },
      boost::asio::detached);
  return run;
}

Task<void> RequestRuns::execute(std::shared_ptr<Run> run, smapi::CallFrame call) {
  auto answer = co_await smapi::dispatch(handler_, std::move(call));
  run->answer = std::move(answer);
  bool good = run->answer->type == frame::Type::result;
  if (!run->needs_word()) log_run(*run, good ? "ok" : "error", good ? "" : reason_in(run->answer->body));
  run->changed.notify();
  if (run->clients == 0) retire(run);
}

void RequestRuns::leave(const std::shared_ptr<Run>& run) {
  --run->clients;
  if (run->clients == 0 && run->answer) retire(run);
}

// Nobody waits for it any more and it has ended.
void RequestRuns::retire(const std::shared_ptr<Run>& run) {
  runs_.erase(run->context.request);
  if (run->needs_word()) {
    using Word = Run::Word;
    if (run->word == Word::unsaid) {
      handler_.abandoned(run->context.request);
      log_run(*run, "abandoned", "the front-end left without saying that it prints");
    } else {
      log_run(*run, run->word == Word::kept ? "ok" : "error", run->refusal ? run->refusal->describe() : "");
    }
  }
  changed_.notify();
}

Task<Result<void>> RequestRuns::keep_word(std::shared_ptr<Run> run) {
  using Word = Run::Word;
  if (run->word == Word::unsaid) {
    run->word = Word::being_kept;
    auto kept = co_await handler_.printing(run->context, run->answer->body);
    run->word = kept ? Word::kept : Word::refused;
    if (!kept) run->refusal = kept.error();
    run->changed.notify();
  }
  while (run->word == Word::being_kept) co_await run->changed.wait(Deadline::after(std::chrono::hours(1)));
  if (run->word == Word::refused) co_return fail(*run->refusal);
  co_return Result<void>{};
}

Task<bool> RequestRuns::drained(Deadline deadline) {
  while (!runs_.empty()) {
    if (deadline.passed()) co_return false;
    co_await changed_.wait(deadline);
  }
  co_return true;
}

}  // namespace vnvme::daemon
