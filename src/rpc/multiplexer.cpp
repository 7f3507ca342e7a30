#include "rpc/multiplexer.hpp"

#include <algorithm>

#include "core/json.hpp"

namespace vnvme::rpc {

Multiplexer::Multiplexer(Options options) : options_(options), next_id_(options.first_id) {}

Result<std::uint64_t> Multiplexer::submit(std::string_view method, const Json& params,
                                          MonoClock::time_point deadline) {
  if (requests_.size() >= options_.max_requests)
    return fail(Errc::busy, "more than " + std::to_string(options_.max_requests) + " requests are under way");
  auto text = encode_request(next_id_, method, params);
  if (!text) return fail(std::move(text.error()));
  auto id = next_id_++;
  requests_.emplace(id, Request{Status::waiting, std::move(*text), 0, deadline});
  waiting_.push_back(id);
  ++counters_.requests;
  return id;
}

std::string_view Multiplexer::stage() {
  if (out_written_ < out_.size()) return std::string_view(out_).substr(out_written_);
  out_.clear();
  out_written_ = 0;
  while (!waiting_.empty() && in_flight_ < options_.max_in_flight) {
    Request& request = requests_.at(waiting_.front());
    waiting_.pop_front();
    out_ += request.text;
    out_ += '\n';
    request.text.clear();
    request.status = Status::staged;
    request.end = out_.size();
    ++in_flight_;
  }
  return out_;
}

void Multiplexer::wrote(std::size_t bytes) {
  out_written_ = std::min(out_.size(), out_written_ + bytes);
  for (auto& [id, request] : requests_)
    if (request.status == Status::staged && request.end <= out_written_) request.status = Status::written;
}

Result<std::optional<Finished>> Multiplexer::answer(std::string frame, std::uint64_t* late_id) {
  *late_id = 0;
  auto decoded = decode_answer(std::move(frame));
  if (!decoded) return fail(decoded.error());
  ++counters_.answers;
  auto request = decoded->id ? requests_.find(*decoded->id) : requests_.end();
  if (request == requests_.end()) {
    if (!decoded->id || *decoded->id >= next_id_ || *decoded->id < options_.first_id) {
      ++counters_.unknown;
    } else if (abandoned_.contains(*decoded->id)) {
      ++counters_.late;
      *late_id = *decoded->id;
      forget(*late_id);
      abandoned_.erase(*late_id);
    } else {
      ++counters_.duplicate;
    }
    return std::optional<Finished>();
  }
  if (request->second.status == Status::waiting) {
    // An answer to what we never sent: not ours to believe.
    ++counters_.unknown;
    return std::optional<Finished>();
  }
  Finished finished{request->first, std::move(decoded->payload)};
  requests_.erase(request);
  --in_flight_;
  return std::optional<Finished>(std::move(finished));
}

Finished Multiplexer::give_up(Requests::iterator request, Error why) {
  auto id = request->first;
  if (request->second.status == Status::waiting) {
    why.outcome = Outcome::not_done;
    waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), id), waiting_.end());
  } else {
    // It still occupies the peer: it counts as in flight until its late answer comes.
    why.outcome = Outcome::unknown;
    abandoned_.emplace(id, true);
  }
  requests_.erase(request);
  return Finished{id, fail(std::move(why))};
}

std::vector<Finished> Multiplexer::expire(MonoClock::time_point now) {
  std::vector<Finished> out;
  for (auto it = requests_.begin(); it != requests_.end();) {
    auto request = it++;
    if (request->second.deadline > now) continue;
    bool sent = request->second.status != Status::waiting;
    ++counters_.missed;
    out.push_back(give_up(request, Error{.code = Errc::timeout,
                                         .text = sent ? "no answer before the deadline"
                                                      : "the deadline passed before it could be sent"}));
  }
  return out;
}

std::optional<Finished> Multiplexer::abandon(std::uint64_t id, Error why) {
  auto request = requests_.find(id);
  if (request == requests_.end()) return std::nullopt;
  return give_up(request, std::move(why));
}

void Multiplexer::forget(std::uint64_t id) {
  auto request = abandoned_.find(id);
  if (request == abandoned_.end() || !request->second) return;
  request->second = false;
  --in_flight_;
}

std::vector<Finished> Multiplexer::close(const Error& why) {
  std::vector<Finished> out;
  while (!requests_.empty()) out.push_back(give_up(requests_.begin(), why));
  abandoned_.clear();
  in_flight_ = 0;
  return out;
}

std::optional<Multiplexer::Status> Multiplexer::status(std::uint64_t id) const {
  auto request = requests_.find(id);
  if (request == requests_.end()) return std::nullopt;
  return request->second.status;
}

}  // namespace vnvme::rpc
