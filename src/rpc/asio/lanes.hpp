// One holder a lane at a time, first come first served. Pipelined mutations of
// one lvol store crash real SPDK, so each store is a lane (design: Lanes).
#pragma once
#include <memory>
#include <string>

#include "rpc/asio/connection.hpp"

namespace vnvme::rpc {

class Lanes {
 public:
  explicit Lanes(boost::asio::io_context& io);
  // Waits until the lane is free, at most until the deadline: then `busy`, naming who holds it and since
  // when. `what` is for that text. Letting go of the Keep frees the lane; it may outlive this object.
  Task<Result<Keep>> acquire(std::string lane, std::string what, Deadline deadline);
  [[nodiscard]] bool held(const std::string& lane) const;

 private:
  struct State;
  class Hold;
  boost::asio::io_context& io_;
  std::shared_ptr<State> state_;  // shared with the holds: a hold may end after its client
};

}  // namespace vnvme::rpc
