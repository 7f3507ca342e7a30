// Many requests on one connection, answers in any order (SPDK answers in the
// order of completion). Pure: no socket and no clock; time is passed in.
//
// A request is waiting (it never left us), staged (handed to the transport,
// wholly or in part) or written. This decides the outcome of a failure (C3):
// waiting = not_done, everything else = unknown.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rpc/codec.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::rpc {

struct Counters {
  std::uint64_t requests = 0, answers = 0;
  std::uint64_t late = 0;       // for a request that was given up
  std::uint64_t duplicate = 0;  // for a request that was answered before
  std::uint64_t unknown = 0;    // for an id that was never sent, or no id
  std::uint64_t missed = 0;     // deadlines
};

struct Finished {
  std::uint64_t id = 0;
  Result<Answer> answer;
};

class Multiplexer {
 public:
  struct Options {
    std::uint64_t first_id = 1;
    std::size_t max_requests = 1024;   // waiting and in flight together
    std::size_t max_in_flight = 64;    // staged and written
    std::size_t max_abandoned = 1024;  // given up, answer not yet seen
  };
  enum class Status { waiting, staged, written };

  explicit Multiplexer(Options options);

  // Refused with busy when too many are under way, with invalid_argument when it cannot be encoded.
  Result<std::uint64_t> submit(std::string_view method, const nlohmann::json& params,
                               MonoClock::time_point deadline);

  // Would stage() give any?
  [[nodiscard]] bool has_bytes() const {
    return out_written_ < out_.size() || (!waiting_.empty() && in_flight_ < options_.max_in_flight);
  }
  // Bytes to write now; empty when there are none. The view stays good until wrote() was called for all of
  // it.
  std::string_view stage();
  void wrote(std::size_t bytes);

  // A frame from the peer. An error is a violation: close the connection. Nothing when the answer was
  // dropped. `late_id` gets the id of a request that was given up before and is finished only now (0: none).
  Result<std::optional<Finished>> answer(std::string frame, std::uint64_t* late_id);

  // Requests whose deadline has passed, with timeout.
  std::vector<Finished> expire(MonoClock::time_point now);
  // Gives one request up (the caller went away). Nothing when it is finished already.
  std::optional<Finished> abandon(std::uint64_t id, Error why);
  // Its answer is not waited for any more: it makes room for another one in flight. Should it come all the
  // same, it is known as late.
  void forget(std::uint64_t id);
  // The connection is gone: everything fails with `why`.
  std::vector<Finished> close(const Error& why);

  [[nodiscard]] std::optional<Status> status(std::uint64_t id) const;
  // More requests were given up than we are willing to remember: the connection is of no use any more.
  [[nodiscard]] bool exhausted() const { return abandoned_.size() >= options_.max_abandoned; }
  // Is an answer outstanding whose caller has gone?
  [[nodiscard]] bool owed() const { return !abandoned_.empty(); }
  [[nodiscard]] bool is_abandoned(std::uint64_t id) const { return abandoned_.contains(id); }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] std::uint64_t next_id() const { return next_id_; }
  [[nodiscard]] std::size_t pending() const { return requests_.size(); }

 private:
  struct Request {
    Status status = Status::waiting;
    std::string text;     // until it is staged
    std::size_t end = 0;  // where its bytes end in out_, while staged
    MonoClock::time_point deadline;
  };
  using Requests = std::map<std::uint64_t, Request>;
  Finished give_up(Requests::iterator request, Error why);

  Options options_;
  std::uint64_t next_id_;
  Requests requests_;
  std::deque<std::uint64_t> waiting_;
  std::size_t in_flight_ = 0;
  std::string out_;
  std::size_t out_written_ = 0;
  std::map<std::uint64_t, bool> abandoned_;  // and whether it counts as in flight
  Counters counters_;
};

}  // namespace vnvme::rpc
