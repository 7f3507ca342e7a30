// The socket of vnvme-plugin: one framed call a connection
// (include/vnvme/smapi_frame.hpp), an answer before its deadline whatever the
// services do (R4), and the word before printing (R5).
#pragma once
#include "daemon/listener.hpp"
#include "daemon/request_runs.hpp"

namespace vnvme::daemon {

struct SmapiLimits {
  std::size_t connections = 256;       // at once; the others wait in the kernel's queue
  std::size_t runs = 1024;             // requests in flight, those without a connection included
  std::size_t body_bytes = 64u << 20;  // of all calls being read or run
  std::chrono::seconds read{10};       // a whole call frame
  std::chrono::seconds write{30};      // a whole answer
  std::chrono::seconds longest{3600};  // deadline in a frame
};

class SmapiServer {
 public:
  SmapiServer(Executor, Fd socket, smapi::Handler&, SmapiLimits = {}, PeerPolicy = root_or_self);
  void start() { listener_.start(); }
  // No new connections; those without a complete call are closed (the front-end tries again).
  void stop();
  void close_all() { listener_.close_all(); }
  // All calls ended and all answers are out (true), or the deadline came (false).
  Task<bool> drained(Deadline deadline);
  [[nodiscard]] std::size_t running() const { return runs_.size(); }

 private:
  Task<void> serve(Stream& stream);
  Task<Result<smapi::CallFrame>> read_call(Stream& stream, std::size_t& reserved);
  Task<void> answer_call(Stream& stream, smapi::CallFrame call);
  Task<void> take_word(Stream& stream, std::shared_ptr<Run> run, Deadline deadline);
  Task<bool> send(Stream& stream, frame::Type type, std::uint8_t flags, std::string_view body);
  Task<void> send_error(Stream& stream, Error error, std::string method);

  Executor executor_;
  SmapiLimits limits_;
  PeerPolicy may_;
  std::size_t incoming_bytes_ = 0;  // of bodies being read
  std::vector<Stream*> reading_;    // no complete call yet
  RequestRuns runs_;
  Listener listener_;
};

}  // namespace vnvme::daemon
