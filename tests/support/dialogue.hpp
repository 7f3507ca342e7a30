// A scripted peer: "expect this request, give that answer", in memory. One
// chosen step can be made to fail in one chosen way, so that a test can replay
// a conversation once per step and see what becomes of the caller (F1).
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "rpc/asio/stream.hpp"
#include "rpc/scan.hpp"
#include "support/drive.hpp"

namespace vnvme::test {

// What a failing step does instead of answering.
enum class Fault {
  none,
  eio,        // the write fails
  epipe,      // the request is read, then the connection closes
  silence,    // no answer at all
  cancelled,  // the client is shut down while it waits
  error_32603,
  error_17,
  error_19,
  error_2,
  error_16,
  error_28,   // an error object
  garbage,    // bytes that are no JSON
  half,       // half an answer, then the end
  other_id,   // an answer with an id that was never sent
  twice,      // the right answer, two times
  no_result,  // an answer with neither result nor error
};

inline const std::vector<Fault>& all_faults() {
  static const std::vector<Fault> all{Fault::eio,         Fault::epipe,    Fault::silence,  Fault::cancelled,
                                      Fault::error_32603, Fault::error_17, Fault::error_19, Fault::error_2,
                                      Fault::error_16,    Fault::error_28, Fault::garbage,  Fault::half,
                                      Fault::other_id,    Fault::twice,    Fault::no_result};
  return all;
}

inline std::string name_of(Fault fault) {
  static const std::vector<std::string> names{"none",         "EIO",          "EPIPE",     "silence",
                                              "cancelled",    "error -32603", "error -17", "error -19",
                                              "error -2",     "error -16",    "error -28", "garbage",
                                              "half a frame", "another id",   "twice",     "no result"};
  return names[static_cast<std::size_t>(fault)];
}

inline std::string error_object(Fault fault) {
  static const std::map<Fault, std::string> texts{
      {Fault::error_32603, R"({"code":-32603,"message":"Internal error"})"},
      {Fault::error_17, R"({"code":-17,"message":"File exists"})"},
      {Fault::error_19, R"({"code":-19,"message":"No such device"})"},
      {Fault::error_2, R"({"code":-2,"message":"No such file or directory"})"},
      {Fault::error_16, R"({"code":-16,"message":"Device or resource busy"})"},
      {Fault::error_28, R"({"code":-28,"message":"No space left on device"})"}};
  auto it = texts.find(fault);
  return it == texts.end() ? "" : it->second;
}
inline bool is_error_object(Fault fault) {
  return !error_object(fault).empty();
}

struct Seen {
  std::size_t connection = 0;
  std::string method;
  Json params;  // null: no params member
  std::uint64_t id = 0;
};

class MemoryStream;

// The peer. `answer` says what to do with a request: text of "result", or with a leading '!' the text of an
// error object, or nothing: no answer (yet).
class Peer {
 public:
  using Answer = std::function<std::optional<std::string>(const Seen&)>;
  explicit Peer(boost::asio::io_context& context, Answer how) : io(context), answer(std::move(how)) {}
  boost::asio::io_context& io;
  Answer answer;
  std::function<Fault(const Seen&)> fault = [](const Seen&) { return Fault::none; };
  std::function<void()> on_cancel = [] {};
  std::vector<Seen> seen;
  std::vector<std::string> raw;  // request texts as they came
  std::size_t connections = 0;
  bool refuse = false;  // connecting fails
  std::vector<MemoryStream*> open;
  void say(std::size_t connection, const std::string& text);
  void hang_up();
};

class MemoryStream final : public rpc::Stream {
 public:
  MemoryStream(Peer& peer, std::size_t number) : peer_(peer), number_(number), ready_(peer.io) {
    peer_.open.push_back(this);
  }
  ~MemoryStream() override { std::erase(peer_.open, this); }

  Task<Result<std::size_t>> read_some(std::span<char> into) override {
    while (in_.empty() && !eof_ && !closed_) {
      ready_.expires_at(MonoClock::time_point::max());
      try {
        co_await ready_.async_wait(boost::asio::use_awaitable);
      } catch (const boost::system::system_error&) {
      }
    }
    if (closed_) co_return fail(Errc::cancelled, "closed");
    if (in_.empty()) co_return fail(Errc::unreachable, "the peer closed the connection");
    auto n = std::min({into.size(), in_.size(), chunk});
    std::copy_n(in_.begin(), n, into.begin());
    in_.erase(0, n);
    co_return n;
  }

  Task<Result<std::size_t>> write_some(std::string_view bytes) override {
    if (closed_ || eof_) co_return fail(Errc::unreachable, "broken pipe");
    scanner_.feed(bytes);
    while (true) {
      auto frame = scanner_.next();
      if (!frame || !*frame) break;
      auto failed = serve(**frame);
      if (failed) co_return fail(Errc::unreachable, "Input/output error");
    }
    co_return bytes.size();
  }

  void close() override {
    closed_ = true;
    ready_.cancel();
  }
  void push(const std::string& text) {
    in_ += text;
    ready_.cancel();
  }
  void end() {
    eof_ = true;
    ready_.cancel();
  }
  [[nodiscard]] std::size_t number() const { return number_; }
  std::size_t chunk = SIZE_MAX;

 private:
  // True: the write itself is to fail.
  bool serve(const std::string& text) {
    auto json = parse_json(text);
    EXPECT_TRUE(json) << text;
    if (!json) return false;
    peer_.raw.push_back(text);
    Seen request{number_, text_of(*json, "method").value_or(""), nullptr, number_of(*json, "id").value_or(0)};
    if (const Json* params = member(*json, "params")) request.params = *params;
    peer_.seen.push_back(request);
    auto fault = peer_.fault(request);
    if (fault == Fault::eio) return true;
    auto id = std::to_string(request.id);
    if (is_error_object(fault)) {
      push(R"({"jsonrpc":"2.0","id":)" + id + R"(,"error":)" + error_object(fault) + "}\n");
      return false;
    }
    if (fault == Fault::epipe) {
      end();
      return false;
    }
    if (fault == Fault::silence) return false;
    if (fault == Fault::cancelled) {
      peer_.on_cancel();
      return false;
    }
    if (fault == Fault::garbage) {
      push("\x01\xFFnonsense}{");
      return false;
    }
    if (fault == Fault::no_result) {
      push(R"({"jsonrpc":"2.0","id":)" + id + "}");
      return false;
    }
    auto said = peer_.answer(request);
    if (!said) return false;
    bool error = said->starts_with("!");
    if (fault == Fault::other_id) id = std::to_string(request.id + 500'000);
    auto frame = R"({"jsonrpc":"2.0","id":)" + id +
                 (error ? R"(,"error":)" + said->substr(1) : R"(,"result":)" + *said) + "}\n";
    if (fault == Fault::half) {
      push(frame.substr(0, frame.size() / 2));
      end();
      return false;
    }
    push(fault == Fault::twice ? frame + frame : frame);
    return false;
  }

  Peer& peer_;
  std::size_t number_;
  Timer ready_;
  rpc::FrameScanner scanner_;
  std::string in_;
  bool eof_ = false, closed_ = false;
};

inline void Peer::say(std::size_t connection, const std::string& text) {
  for (auto* stream : open)
    if (stream->number() == connection) stream->push(text);
}
inline void Peer::hang_up() {
  for (auto* stream : open) stream->end();
}

class PeerConnector final : public rpc::Connector {
 public:
  explicit PeerConnector(Peer& peer) : peer_(peer) {}
  Task<Result<std::unique_ptr<rpc::Stream>>> connect(Deadline) override {
    if (peer_.refuse) co_return fail(Errc::unreachable, "Connection refused");
    std::unique_ptr<rpc::Stream> stream = std::make_unique<MemoryStream>(peer_, peer_.connections++);
    co_return stream;
  }
  [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

 private:
  Peer& peer_;
  std::string endpoint_ = "memory:peer";
};

}  // namespace vnvme::test
