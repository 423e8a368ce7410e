"""`keywright sidecar`: says to a proxy, for each request, who asks and whether they may.

One pure core (`gate`) and two thin transports on it: Envoy's external authorization (`envoy`) and
forward authentication over HTTP for nginx, Traefik and Caddy (`http`).
"""
