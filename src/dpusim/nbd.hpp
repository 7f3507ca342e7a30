// NBD (fixed newstyle) on a unix socket for each exposed namespace, so that tests and QEMU reach the data.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <map>
#include <memory>
#include <string>

#include "dpusim/target.hpp"

namespace vnvme::sim {

class NbdServer {
 public:
  NbdServer(boost::asio::io_context& io, Target& target, std::string folder)
      : io_(io), target_(target), folder_(std::move(folder)) {}
  ~NbdServer() { stop(); }
  NbdServer(const NbdServer&) = delete;
  NbdServer& operator=(const NbdServer&) = delete;
  // The path of the socket, which is opened when it is not yet; empty when it cannot be.
  std::string open(const Bdev& bdev);
  void close(const Bdev& bdev);  // clients are cut off: their device is gone
  void stop();

 private:
  struct Export;
  void accept(const std::shared_ptr<Export>& one);
  boost::asio::io_context& io_;
  Target& target_;
  std::string folder_;
  std::map<std::string, std::shared_ptr<Export>>
      exports_;  // shared with the sessions, which look whether it is still open
};

}  // namespace vnvme::sim
