"""The same crawl in Scrapy: every page below the folder of the start URL, once, with its title and length."""

import scrapy
from scrapy.linkextractors import LinkExtractor


class Folder(scrapy.Spider):
    name = "folder"
    links = LinkExtractor()

    def __init__(self, start, **kwargs):
        super().__init__(**kwargs)
        self.start_urls = [start]
        self.folder = start.rsplit("/", 1)[0] + "/"

    def parse(self, response):
        yield {
            "url": response.url,
            "status": response.status,
            "title": response.css("title::text").get(),
            "bytes": len(response.body),
        }
        for link in self.links.extract_links(response):
            if link.url.startswith(self.folder):
                yield scrapy.Request(link.url, callback=self.parse)
