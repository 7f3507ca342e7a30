// JSON-RPC over HTTP POST behind the Stream that every other transport is: each
// request gets a connection of its own, which is open from just before it is
// written until its answer ended. An open connection without a request would
// block everybody: the proxy on such a card serves one at a time.
#pragma once
#include <memory>
#include <string>

#include "core/secret.hpp"
#include "rpc/asio/client.hpp"

namespace vnvme::rpc {

struct HttpOptions {
  std::string endpoint;     // as people wrote it, for texts
  std::string credentials;  // path, read anew for each session: a changed password needs no restart
  MonoClock::duration connect = std::chrono::seconds(2);
  ScanLimits scan = {};
};

// `lower` makes the connections, e.g. to "tcp:127.0.0.1:8080". A session over the result has one channel with
// one request in flight: one_at_a_time() of its options. connect() itself sends nothing, so the first request
// tells whether anybody is there.
std::unique_ptr<Connector> make_http_connector(boost::asio::io_context& io, std::unique_ptr<Connector> lower,
                                               HttpOptions options);

// For any card whose requests must not overlap.
Client::Options one_at_a_time(Client::Options options);

}  // namespace vnvme::rpc
