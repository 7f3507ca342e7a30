// Requests in flight, by id. A request runs once however often it arrives (R1),
// and goes on when its connection is lost: its effects may have begun, and the
// front-end comes back with the same id. Of the word before printing (R5) it
// keeps: asked for once, and told to the handler when nobody is left to say it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "daemon/stream.hpp"
#include "daemon/wakeup.hpp"
#include "smapi/dispatch.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::daemon {

class Run {
 public:
  Run(Executor executor, smapi::CallFrame frame);

  [[nodiscard]] bool same_call(const smapi::CallFrame& other) const;
  [[nodiscard]] bool needs_word() const;

  const smapi::CallFrame call;
  const MonoClock::time_point began;
  std::optional<smapi::Answer> answer;
  bool word_said = false;                // and being made true, until there is a verdict
  std::optional<smapi::Answer> verdict;  // `print`, or the error to print instead
  std::size_t clients = 0;               // connections that still want the answer
  Wakeup changed;
};

class RequestRuns {
 public:
  RequestRuns(Executor, smapi::Handler&, std::size_t most);
  RequestRuns(const RequestRuns&) = delete;
  RequestRuns& operator=(const RequestRuns&) = delete;

  // The run of that id: the one in flight, or a new one, which has begun. Errors: the id is in use by another
  // call (conflict), or too many run (busy). The caller is one of its clients until leave().
  Result<std::shared_ptr<Run>> join(smapi::CallFrame call);
  void leave(const std::shared_ptr<Run>& run);
  // The front-end is about to print: makes it so once, whoever asks; everybody gets the same verdict.
  // Nothing: none yet at the deadline; it may still come, so the caller must not invent one.
  Task<std::optional<smapi::Answer>> keep_word(std::shared_ptr<Run> run, Deadline deadline);

  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  [[nodiscard]] std::size_t body_bytes() const { return body_bytes_; }
  // Completes when none runs (true) or at the deadline (false).
  Task<bool> drained(Deadline);

 private:
  Task<void> execute(std::shared_ptr<Run> run);
  Task<void> confirm(std::shared_ptr<Run> run);
  void retire_when_over(const std::shared_ptr<Run>& run);

  Executor executor_;
  smapi::Handler& handler_;
  std::size_t most_;
  std::size_t body_bytes_ = 0;
  // Shared, because a run is kept by three that end in any order: its own coroutine, each connection that
  // waits for it, and this table.
  std::unordered_map<RequestId, std::shared_ptr<Run>> runs_;
  Wakeup changed_;
};

// The object that a call names, out of its raw JSON: for the log only, so a cheap look must do.
std::string object_of(std::string_view body);

}  // namespace vnvme::daemon
