// JSON-RPC 2.0 requests and answers, as SPDK's target speaks them.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/scan.hpp"
#include "vnvme/result.hpp"

namespace vnvme::rpc {

// SPDK up to v26.01 resets a connection that sends more than 32 KiB, or more than 1,024 values, in one
// request.
inline constexpr std::size_t kRequestBytes = 32u * 1024 - 1;
inline constexpr std::size_t kRequestValues = 1000;

// The error object of an answer: the peer says no.
struct RemoteError {
  std::int64_t code = 0;
  std::string message;
};

// An answer keeps its frame, so that a listing of megabytes is never copied: the result is a view into it.
class Answer {
 public:
  Answer() = default;
  Answer(std::string frame, std::size_t begin, std::size_t length)
      : frame_(std::move(frame)), begin_(begin), length_(length) {}
  explicit Answer(RemoteError error) : error_(std::move(error)) {}
  // JSON text of "result"; empty when the peer said no.
  [[nodiscard]] std::string_view result() const { return {frame_.data() + begin_, length_}; }
  [[nodiscard]] const std::optional<RemoteError>& error() const { return error_; }

 private:
  std::string frame_;
  std::size_t begin_ = 0, length_ = 0;
  std::optional<RemoteError> error_;
};

// What a frame is: whose answer (nothing when the id is none that we could have sent), and what it says.
// `payload` is an error when the frame has neither a result nor an error that can be read.
struct Decoded {
  std::optional<std::uint64_t> id;
  Result<Answer> payload;
};

// Pure ASCII, compact. An empty or null `params` is left out: "params":{} is refused by several methods
// (recordings: spdk_get_version, bdev_wait_for_examine). Refuses what SPDK would answer with a reset.
Result<std::string> encode_request(std::uint64_t id, std::string_view method, const nlohmann::json& params);

// An error means that the frame is no JSON object with members: the connection is to be closed.
Result<Decoded> decode_answer(std::string frame);

}  // namespace vnvme::rpc
