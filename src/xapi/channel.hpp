// One request, one connection, one deadline: where HTTP meets a stream.
#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <set>
#include <string>

#include "rpc/asio/stream.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"
#include "xapi/http.hpp"

namespace vnvme::xapi {

class Channel {
 public:
  struct Options {
    std::string path = "/jsonrpc";
    MonoClock::duration connect = std::chrono::seconds(2);
    ResponseReader::Limits limits;
    std::size_t requests = 64;  // at a time: XAPI has a thread for each
  };
  // The io_context and this object outlive every call.
  Channel(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector, Options options);

  // The body of the answer. not_done: the request never left us whole; unknown: it did, and no answer came.
  Task<Result<std::string>> post(std::string body, Deadline deadline);
  // Ends all that is under way, and refuses what comes.
  void shutdown();
  [[nodiscard]] const std::string& endpoint() const { return connector_->endpoint(); }

 private:
  class Registered;
  Task<Result<std::string>> talk(std::shared_ptr<rpc::Stream> stream, std::string body, Deadline deadline);
  Task<Result<void>> send(std::shared_ptr<rpc::Stream> stream, std::string text, Deadline deadline);
  boost::asio::io_context& io_;
  std::unique_ptr<rpc::Connector> connector_;
  Options options_;
  std::set<rpc::Stream*> open_;
  std::size_t running_ = 0;
  bool stopped_ = false;
};

}  // namespace vnvme::xapi
